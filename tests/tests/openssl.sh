#!/bin/sh
# Makes, in the folder $1, an authority and its certificates with OpenSSL 3: a good one, and one wrong in each way.
set -eu
cd "$1"
now() { date -u -d "$1" +%Y%m%d%H%M%SZ; }

key() { openssl ecparam -name prime256v1 -genkey -noout -out "$1.key" 2>/dev/null; }
authority() { # name, extra
    key "$1"
    openssl req -x509 -new -key "$1.key" -sha256 -days 3650 -subj "/CN=$1" \
        -addext "keyUsage=critical,keyCertSign,cRLSign" -out "$1.pem"
}
authority root
authority stranger
mkdir -p ca && : > ca/index.txt && echo 1000 > ca/serial && echo 01 > ca/crl
cat > ca.cnf <<CNF
[ca]
default_ca = d
[d]
database = ca/index.txt
serial = ca/serial
crlnumber = ca/crl
new_certs_dir = ca
default_md = sha256
policy = any
unique_subject = no
copy_extensions = none
[any]
commonName = supplied
[good]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = URI:spiffe://hunan.tongban/node/430600
[usage]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = URI:spiffe://hunan.tongban/node/430600
[san]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = DNS:yueyang.gov.cn
[foreign]
basicConstraints = CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = serverAuth,clientAuth
subjectAltName = URI:spiffe://hunan.tongban/node/421200
CNF
issue() { # name, extensions, from, until, key, further arguments
    openssl req -new -key "$5.key" -subj "/CN=$1" -out "$1.csr"
    name=$1 extensions=$2 from=$3 until=$4
    shift 5
    openssl ca -batch -notext -config ca.cnf -cert root.pem -keyfile root.key -extensions "$extensions" \
        -startdate "$(now "$from")" -enddate "$(now "$until")" -in "$name.csr" -out "$name.pem" "$@" 2>/dev/null
}
key node
issue good good "-1 hour" "+30 days" node
issue expired good "-2 days" "-1 day" node
issue future good "+1 day" "+2 days" node
issue usage usage "-1 hour" "+30 days" node
issue san san "-1 hour" "+30 days" node
issue foreign foreign "-1 hour" "+30 days" node
issue sha1 good "-1 hour" "+30 days" node -md sha1
issue revoked good "-1 hour" "+30 days" node
openssl genrsa -out short.key 1024 2>/dev/null
issue rsa1024 good "-1 hour" "+30 days" short
# A node's certificate in the place of an authority's.
cat good.pem foreign.pem > noca.pem
# Two certificates of one authority with one serial number.
for cn in one two; do
    openssl req -x509 -new -key root.key -subj /CN=root -set_serial 7 -days "$([ $cn = one ] && echo 10 || echo 20)" \
        -addext keyUsage=critical,keyCertSign -out "$cn.twin"
done
cat good.pem one.twin two.twin > twin.pem
sed 's/MII/M!I/' good.pem > garbage.pem
cat good.pem node.key > mixed.pem

openssl ca -config ca.cnf -cert root.pem -keyfile root.key -revoke revoked.pem 2>/dev/null
openssl ca -config ca.cnf -cert root.pem -keyfile root.key -gencrl -crldays 30 -out root.crl 2>/dev/null
openssl ca -config ca.cnf -cert stranger.pem -keyfile stranger.key -gencrl -crldays 30 -out stranger.crl 2>/dev/null
openssl ca -config ca.cnf -cert root.pem -keyfile root.key -gencrl \
    -crl_lastupdate "$(now "-2 days")" -crl_nextupdate "$(now "-1 day")" -out stale.crl 2>/dev/null
for kind in root:trust stranger:trust-foreign-crl stale:trust-stale-crl; do
    folder=${kind#*:}
    mkdir "$folder"
    cp root.pem "$folder/"
    cp "${kind%%:*}.crl" "$folder/list.crl"
    cat > "$folder/trust.toml" <<TOML
[[domain]]
name = "hunan.tongban"
divisions = ["43"]
revocation = "crl"
crls = ["list.crl"]
[[domain.anchor]]
file = "root.pem"
state = "active"
TOML
done
