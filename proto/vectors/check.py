#!/usr/bin/env python3
"""A second opinion on the frozen vectors: WIRE.md read by another program.

    python3 proto/vectors/check.py

Needs Python 3.9. Signatures are verified when the `cryptography` package is installed, and skipped
with a notice when it is not, except SM2's, which are verified here; everything else uses the standard library alone. Shares no code with
the Rust library on purpose. Exit status 0: all agrees.
"""

import base64
import hashlib
import json
import pathlib
import re
import struct
import sys

try:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, utils
except ImportError:
    serialization = None

HERE = pathlib.Path(__file__).parent
checked = 0


def load(name):
    return json.loads((HERE / name).read_text(encoding="utf-8"))


def expect(condition, what):
    global checked
    checked += 1
    if not condition:
        sys.exit(f"DISAGREES: {what}")


def sha256(data):
    return hashlib.sha256(data).digest()


# ---- SM3 (GB/T 32905) and SM2 verification (GB/T 32918.2), written from the standards


def sm3(data):
    word = 0xFFFFFFFF

    def turn(value, places):
        places %= 32
        return (value << places | value >> 32 - places) & word if places else value

    state = [
        0x7380166F, 0x4914B2B9, 0x172442D7, 0xDA8A0600, 0xA96F30BC, 0x163138AA, 0xE38DEE4D, 0xB0FB0E4E,
    ]  # fmt: skip
    padded = data + b"\x80" + bytes(-(len(data) + 9) % 64) + struct.pack(">Q", 8 * len(data))
    for block in range(0, len(padded), 64):
        w = list(struct.unpack(">16I", padded[block : block + 64]))
        for j in range(16, 68):
            x = w[j - 16] ^ w[j - 9] ^ turn(w[j - 3], 15)
            w.append(x ^ turn(x, 15) ^ turn(x, 23) ^ turn(w[j - 13], 7) ^ w[j - 6])
        a, b, c, d, e, f, g, h = state
        for j in range(64):
            ss1 = turn(turn(a, 12) + e + turn(0x79CC4519 if j < 16 else 0x7A879D8A, j) & word, 7)
            ff = a ^ b ^ c if j < 16 else a & b | a & c | b & c
            gg = e ^ f ^ g if j < 16 else e & f | ~e & word & g
            tt1 = ff + d + (ss1 ^ turn(a, 12)) + (w[j] ^ w[j + 4]) & word
            tt2 = gg + h + ss1 + w[j] & word
            a, b, c, d = tt1, a, turn(b, 9), c
            e, f, g, h = tt2 ^ turn(tt2, 9) ^ turn(tt2, 17), e, turn(f, 19), g
        state = [old ^ new for old, new in zip(state, (a, b, c, d, e, f, g, h))]
    return struct.pack(">8I", *state)


SM2_P = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF00000000FFFFFFFFFFFFFFFF
SM2_A = SM2_P - 3
SM2_B = 0x28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93
SM2_N = 0xFFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54123
SM2_G = (
    0x32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7,
    0xBC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0,
)
SM2_SPKI = bytes.fromhex("3059301306072a8648ce3d020106082a811ccf5501822d03420004")


def sm2_add(one, other):
    if one is None or other is None:
        return one or other
    (x1, y1), (x2, y2) = one, other
    if x1 == x2 and (y1 + y2) % SM2_P == 0:
        return None
    slope = (3 * x1 * x1 + SM2_A) * pow(2 * y1, -1, SM2_P) if one == other else (y2 - y1) * pow(x2 - x1, -1, SM2_P)
    x = (slope * slope - x1 - x2) % SM2_P
    return x, (slope * (x1 - x) - y1) % SM2_P


def sm2_times(scalar, point):
    result = None
    while scalar:
        if scalar & 1:
            result = sm2_add(result, point)
        scalar, point = scalar >> 1, sm2_add(point, point)
    return result


def sm2_holds(spki, message, signature):
    if not spki.startswith(SM2_SPKI) or len(spki) != len(SM2_SPKI) + 64 or len(signature) != 64:
        return False
    x, y = (int.from_bytes(half, "big") for half in (spki[-64:-32], spki[-32:]))
    if (y * y - x * x * x - SM2_A * x - SM2_B) % SM2_P or max(x, y) >= SM2_P:
        return False
    signer = b"1234567812345678"
    curve = b"".join(number.to_bytes(32, "big") for number in (SM2_A, SM2_B, *SM2_G, x, y))
    z = sm3(struct.pack(">H", 8 * len(signer)) + signer + curve)
    e = int.from_bytes(sm3(z + message), "big")
    r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
    t = (r + s) % SM2_N
    if not (1 <= r < SM2_N and 1 <= s < SM2_N and t):
        return False
    point = sm2_add(sm2_times(s, SM2_G), sm2_times(t, (x, y)))
    return point is not None and (e + point[0]) % SM2_N == r


def check_sm():
    expect(sm3(b"abc").hex() == "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0", "SM3 of abc")
    file = load("sm2.json")
    leaves = [leaf_hash(struct.pack(">Q", number), sm3) for number in range(7)]
    expect([leaf.hex() for leaf in leaves] == file["leaf_hashes"], "SM3 leaf hashes")
    for case in file["roots"]:
        expect(root(leaves[: case["size"]], sm3).hex() == case["root"], f"SM3 root of {case['size']}")
    expect((b"\x02" + sm3(bytes.fromhex(file["body"]))).hex() == file["body_digest"], "SM3 body digest")
    commitment = b"\x02" + sm3(bytes.fromhex(file["salt"] + file["blob_digest"]))
    expect(commitment.hex() == file["commitment"], "SM3 commitment")
    payload = file["payload"].encode()
    made = encoding(file["payload_type"], payload)
    expect(made.hex() == file["encoding"], "the SM2 document's encoding")
    expect("sha256:" + sha256(payload).hex() == file["document_digest"], "the SM2 document's digest")
    spki = bytes.fromhex(file["spki"])
    expect(sm2_holds(spki, made, bytes.fromhex(file["signature"])), "the SM2 document's signature")
    expect(not sm2_holds(spki, made, bytes.fromhex(file["forged_signature"])), "a forged SM2 signature verifies")


# ---- headers, WIRE.md section 3


class Refused(Exception):
    pass


def varint(data, at, field):
    value = 0
    for place in range(10):
        if at >= len(data):
            raise Refused("truncated")
        byte = data[at]
        at += 1
        if place == 9 and byte & 0x7F > 1:
            break
        value |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            return value, at
    raise Refused(f"field {field}")


def fields_of(data):
    """All fields, in order: number -> (wire type, value)."""
    found, at, last = {}, 0, 0
    while at < len(data):
        key, at = varint(data, at, last)
        field, wire = key >> 3, key & 7
        if not 1 <= field < 1 << 29:
            raise Refused(f"field {last}")
        if field <= last:
            raise Refused(f"order {field}")
        last = field
        if wire == 0:
            value, at = varint(data, at, field)
        elif wire in (1, 2, 5):
            length = {1: 8, 5: 4}.get(wire)
            if length is None:
                length, at = varint(data, at, field)
            value = data[at : at + length]
            if len(value) != length:
                raise Refused("truncated")
            at += length
        else:
            raise Refused(f"field {field}")
        if field <= 16 and wire != (0 if field in (4, 8, 9, 12, 13, 15) else 2):
            raise Refused(f"field {field}")
        found[field] = value
    return found


def parse_header(data):
    if not 1 <= len(data) <= 2048:
        raise Refused("length")
    found = fields_of(data)

    def must(ok, field):
        if not ok:
            raise Refused(f"field {field}")

    def required(field):
        if field not in found:
            raise Refused(f"missing {field}")
        return found[field]

    def matches(field, pattern, value):
        must(re.fullmatch(pattern, value) is not None, field)
        return value.decode("ascii")

    def uuid(field, value):
        must(len(value) == 16, field)
        text = value.hex()
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

    def digest(field, value):
        must(len(value) == 33 and value[0] in (1, 2), field)
        return ("sha256:" if value[0] == 1 else "sm3:") + value[1:].hex()

    def epoch(field):
        value = found.get(field, 0)
        must(value < 1 << 32, field)
        return value

    kind = matches(5, rb"[a-z0-9._]{1,32}", required(5))
    length = required(15)
    must(length <= 1024 * 1024, 15)
    blobs = found.get(16, b"")
    must(len(blobs) % 33 == 0 and len(blobs) // 33 <= 29, 16)
    message_id = uuid(1, required(1))
    source = matches(2, rb"[0-9]{6}", required(2))
    target = matches(3, rb"[0-9]{6}", required(3))
    return {
        "message_id": message_id,
        "from": source,
        "to": target,
        "epoch": epoch(4),
        "kind": kind,
        "case_id": matches(6, rb"[!-~]{1,50}", found[6]) if 6 in found else None,
        "in_reply_to": uuid(7, found[7]) if 7 in found else None,
        "seen": {"epoch": epoch(8), "size": found.get(9, 0)},
        "agreement": digest(10, found[10]) if 10 in found else None,
        "standard": digest(11, found[11]) if 11 in found else None,
        "created_ms": required(12),
        "expires_ms": found.get(13),
        "body_digest": digest(14, required(14)),
        "body_length": length,
        "blobs": [digest(16, blobs[at : at + 33]) for at in range(0, len(blobs), 33)],
    }


def leaf_hash(header, hashed=sha256):
    return hashed(b"\x00" + header)


def check_headers():
    file = load("header.json")
    for case in file["read"]:
        header = bytes.fromhex(case["header"])
        expect(parse_header(header) == case["fields"], case["name"])
        expect(leaf_hash(header).hex() == case["leaf_hash"], case["name"])
    for case in file["refused"]:
        try:
            parse_header(bytes.fromhex(case["header"]))
        except Refused as refused:
            expect(str(refused) == case["error"], f"{case['name']}: {refused}")
        else:
            expect(False, f"{case['name']} was read")


def check_blobs():
    blobs = load("blob.json")
    for case in blobs["blobs"]:
        length = case["length"]
        data = bytes(i // 251 % 256 for i in range(length))
        chunks = [data[at:at + 65536] for at in range(0, length, 65536)]
        chunk_list = b"".join(sha256(b"\x02" + chunk) for chunk in chunks)
        digest = b"\x01" + sha256(b"\x03" + struct.pack(">Q", length) + chunk_list)
        expect(chunk_list.hex() == case["chunk_list"], f"chunk list of {length}")
        expect(digest.hex() == case["digest"], f"digest of {length}")
        commitment = b"\x01" + sha256(bytes.fromhex(blobs["salt"]) + digest)
        expect(commitment.hex() == case["commitment"], f"commitment to {length}")


def check_bodies():
    for case in load("body.json")["bodies"]:
        body = bytes.fromhex(case["salt"]) + bytes.fromhex(case["payload"])
        expect(body.hex() == case["body"] and len(body) == case["body_length"], case["name"])
        expect((b"\x01" + sha256(body)).hex() == case["body_digest"], case["name"])
        other = b"\x01" + sha256(bytes.fromhex(case["another_body"]))
        expect(other.hex() != case["body_digest"], case["name"])


# ---- trees, section 5: the recursive definitions of RFC 6962, nothing clever


def root(leaves, hashed=sha256):
    if not leaves:
        return hashed(b"")
    if len(leaves) == 1:
        return leaves[0]
    left = split(len(leaves))
    return hashed(b"\x01" + root(leaves[:left], hashed) + root(leaves[left:], hashed))


def split(count):
    left = 1
    while left * 2 < count:
        left *= 2
    return left


def inclusion(index, leaves):
    if len(leaves) == 1:
        return []
    left = split(len(leaves))
    if index < left:
        return inclusion(index, leaves[:left]) + [root(leaves[left:])]
    return inclusion(index - left, leaves[left:]) + [root(leaves[:left])]


def consistency(old, leaves, whole=True):
    if old == len(leaves):
        return [] if whole else [root(leaves)]
    left = split(len(leaves))
    if old <= left:
        return consistency(old, leaves[:left], whole) + [root(leaves[left:])]
    return consistency(old - left, leaves[left:], False) + [root(leaves[:left])]


def check_trees():
    file = load("tree.json")
    leaves = [leaf_hash(struct.pack(">Q", number)) for number in range(257)]
    for leaf, frozen in zip(leaves, file["leaf_hashes"]):
        expect(leaf.hex() == frozen, "leaf hash")
    for case in file["roots"]:
        expect(root(leaves[: case["size"]]).hex() == case["root"], f"root of {case['size']}")
    for case in file["inclusion"]:
        path = inclusion(case["index"], leaves[: case["size"]])
        expect([step.hex() for step in path] == case["path"], f"inclusion {case['index']} in {case['size']}")
    for case in file["consistency"]:
        path = consistency(case["old"], leaves[: case["new"]]) if case["old"] else []
        expect([step.hex() for step in path] == case["path"], f"consistency {case['old']} to {case['new']}")


# ---- notes, section 6


def key_hash(name, suite, purpose, spki):
    if suite == "ed25519-sha256":
        kind, key = {"origin": b"\x01", "cosignature": b"\x04"}[purpose], spki[-32:]
    else:
        kind = b"\xfftongban/" + suite.encode() + {"origin": b"", "cosignature": b"/cosignature-v1"}[purpose]
        key = spki
    return sha256(name.encode() + b"\n" + kind + key)[:4]


def holds(spki, message, signature):
    """True or False; None when signatures cannot be verified here."""
    if spki.startswith(SM2_SPKI):
        return sm2_holds(spki, message, signature)
    if serialization is None:
        return None
    key = serialization.load_der_public_key(spki)
    try:
        if isinstance(key, ed25519.Ed25519PublicKey):
            key.verify(signature, message)
        else:
            r, s = (int.from_bytes(half, "big") for half in (signature[:32], signature[32:]))
            key.verify(utils.encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


BODY = re.compile(
    r"tongban\.channel/v1/([0-9]{6})/([0-9]{6})/(0|[1-9][0-9]*)\n"
    r"(0|[1-9][0-9]*)\n([A-Za-z0-9+/]{43}=)\ntime (0|[1-9][0-9]*)\n"
)
LINE = re.compile("— ([^ \n+]+) ([A-Za-z0-9+/]+={0,2})")


def canonical(text):
    data = base64.b64decode(text, validate=True)
    if base64.b64encode(data).decode() != text:
        raise ValueError("base64 is not canonical")
    return data


def parse_note(text):
    body, lines = text.split("\n\n", 1)
    body += "\n"
    head = BODY.fullmatch(body)
    if head is None or not lines.endswith("\n"):
        raise ValueError("not a note")
    signatures = []
    for line in lines[:-1].split("\n"):
        name, signature = LINE.fullmatch(line).groups()
        signature = canonical(signature)
        signatures.append((name, signature[:4], signature[4:]))
    if not 1 <= len(signatures) <= 2:
        raise ValueError("one or two signature lines")
    sender, receiver, epoch, size, root_text, time = head.groups()
    checkpoint = {
        "from": sender,
        "to": receiver,
        "epoch": int(epoch),
        "size": int(size),
        "root": canonical(root_text).hex(),
        "time_ms": int(time),
    }
    return body, checkpoint, signatures


def check_notes(name):
    file = load(name)
    suite, sender, receiver = file["suite"], file["sender"], file["receiver"]
    spki = {"origin": bytes.fromhex(sender["spki"]), "cosignature": bytes.fromhex(receiver["spki"])}
    expect(key_hash(sender["name"], suite, "origin", spki["origin"]).hex() == sender["key_hash"], name)
    expect(
        key_hash(receiver["name"], suite, "cosignature", spki["cosignature"]).hex() == receiver["key_hash"], name
    )

    def verdicts(text):
        body, checkpoint, lines = parse_note(text)
        result = {}
        for purpose, (_, _, signature) in zip(("origin", "cosignature"), lines):
            message = body.encode()
            if purpose == "cosignature":
                seconds, signature = struct.unpack(">Q", signature[:8])[0], signature[8:]
                message = f"cosignature/v1\ntime {seconds}\n{body}".encode()
                result["seconds"] = seconds
                result["message"] = message
            result[purpose] = len(signature) == 64 and holds(spki[purpose], message, signature)
        return checkpoint, lines, result

    for key in ("signed", "cosigned"):
        checkpoint, lines, result = verdicts(file[key])
        expect(checkpoint == file["checkpoint"], f"{name} {key}")
        expect(lines[0][0] == sender["name"] and lines[0][1].hex() == sender["key_hash"], f"{name} {key}")
        expect(result["origin"] is not False, f"{name} {key}: the sender's signature")
        expect(file[key].startswith(file["body"] + "\n"), f"{name} {key}: body")
    expect(lines[1][0] == receiver["name"] and lines[1][1].hex() == receiver["key_hash"], name)
    expect(result["seconds"] == file["cosignature_seconds"], name)
    expect(result["message"].hex() == file["cosigned_message"], name)
    expect(result["cosignature"] is not False, f"{name}: the cosignature")
    for case in file["malformed"]:
        try:
            parse_note(case["text"])
        except (ValueError, AttributeError):
            continue
        expect(False, f"{name}: {case['name']} was read")
    for case in file["forged"]:
        _, _, result = verdicts(case["text"])
        expect(not result[case["line"]], f"{name}: {case['name']} verifies")

    headers = [bytes.fromhex(case["header"]) for case in load("header.json")["read"][:2]]
    hashed = sm3 if suite == "sm2-sm3" else sha256
    leaves = [leaf_hash(header, hashed) for header in headers]
    expect(root(leaves, hashed).hex() == file["checkpoint"]["root"], name)
    if serialization is not None and sender["seed"] is not None:
        for who, message, signature in (
            (sender, file["body"].encode(), lines[0][2]),
            (receiver, bytes.fromhex(file["cosigned_message"]), lines[1][2][8:]),
        ):
            private = ed25519.Ed25519PrivateKey.from_private_bytes(bytes.fromhex(who["seed"]))
            expect(private.sign(message) == signature, f"{name}: {who['name']} signs otherwise")


# ---- documents, section 7


def encoding(payload_type, payload):
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def check_documents():
    file = load("dsse.json")
    example = file["published_example"]
    made = encoding(example["payload_type"], bytes.fromhex(example["payload"]))
    expect(made.hex() == example["encoding"], "the published encoding")
    payload = file["payload"].encode()
    made = encoding(file["payload_type"], payload)
    expect(made.hex() == file["encoding"], "the encoding")
    expect("sha256:" + sha256(payload).hex() == file["document_digest"], "the document's digest")
    spki, signature = bytes.fromhex(file["spki"]), bytes.fromhex(file["signature"])
    expect(holds(spki, made, signature) is not False, "the document's signature")
    envelope = json.loads(file["envelope"])
    expect(set(envelope) == {"payloadType", "payload", "signatures"}, "the envelope's keys")
    expect(envelope["payloadType"] == file["payload_type"], "the envelope's type")
    expect(base64.b64decode(envelope["payload"], validate=True) == payload, "the envelope's payload")
    expect(
        envelope["signatures"] == [{"keyid": file["keyid"], "sig": base64.b64encode(signature).decode()}],
        "the envelope's signature",
    )
    expect(not holds(spki, made, bytes.fromhex(file["forged_signature"])), "a forged signature verifies")
    forged = encoding(file["payload_type"], file["forged_payload"].encode())
    expect(not holds(spki, forged, signature), "a forged payload verifies")
    forged = encoding(file["forged_payload_type"], payload)
    expect(not holds(spki, forged, signature), "a forged payload type verifies")


# ---- the proof in an Open, section 9.3


def check_open():
    file = load("open.json")
    expect(file["exporter_label"] == "EXPERIMENTAL tongban open v2", "the exporter's label")
    keys = [("ed25519", bytes.fromhex(file["ed25519_spki"])), ("p256", bytes.fromhex(file["p256_spki"]))]
    for claim in file["claims"]:
        expect(len(claim["link"]) == 48 and len(claim["binding"]) == 64, "a link's name, a binding")
        lines = [
            "tongban.open/v2",
            claim["from"] + ">" + claim["to"],
            "dialler" if claim["dialled"] else "acceptor",
            "bulk" if claim["bulk"] else "channels",
            claim["link"],
            claim["binding"],
        ]
        made = "".join(line + "\n" for line in lines)
        expect(made == claim["message"], "what is signed on a link")
        for name, spki in keys:
            signature = bytes.fromhex(claim[name])
            expect(len(signature) == 64 and holds(spki, made.encode(), signature) is not False, f"a proof by {name}")
            for forged in claim["forged"]:
                expect(not holds(spki, forged["message"].encode(), signature), f"{forged['name']} verifies by {name}")


if __name__ == "__main__":
    check_headers()
    check_blobs()
    check_bodies()
    check_trees()
    check_notes("note_ed25519.json")
    check_notes("note_p256.json")
    check_notes("note_sm2.json")
    check_sm()
    check_documents()
    check_open()
    if serialization is None:
        print("signatures other than SM2's were NOT verified: the Python package `cryptography` is not installed")
    print(f"all {checked} checks agree")
