//! The reach that trust is built for: a revocation list of 100,000 serial numbers. `cargo bench -p certs` measures
//! reading the list (once at a start, its signature with the first chain), and judging a chain against it (once per
//! certificate and change of trust; in between a check is a comparison with `good_until_ms`).

use std::hint::black_box;

use certs::{Anchor, AnchorState, Crl, Purpose, Revocation, TrustDomain, TrustStore};
use criterion::{Criterion, criterion_group, criterion_main};
use devpki::Province;

const NOW_MS: i64 = 1_790_000_000_000;
const DAY_MS: i64 = 86_400_000;
const REVOKED: u32 = 100_000;

fn reach(criterion: &mut Criterion) {
    let province = Province::new("hunan.tongban", &["43"], NOW_MS).expect("a province");
    let serials: Vec<Vec<u8>> =
        (0..REVOKED).map(|serial| [&[0x11][..], &serial.to_be_bytes()].concat()).collect();
    let refs: Vec<&[u8]> = serials.iter().map(Vec::as_slice).collect();
    let crls = province.crl(&refs, NOW_MS - DAY_MS, NOW_MS + DAY_MS).expect("lists");
    let mut group = criterion.benchmark_group("reach");
    group.sample_size(10);
    let lists = || crls.der.iter().map(|der| Crl::from_der(der).expect("a list")).collect::<Vec<_>>();
    group.bench_function("read a list of 100,000", |bencher| bencher.iter(|| black_box(lists())));

    let anchor = Anchor::from_der(province.root_der(), AnchorState::Active).expect("an anchor");
    let revocation = Revocation::Crl { lists: lists(), grace_hours: 0 };
    let name = "hunan.tongban".parse().expect("a name");
    let prefixes = vec!["43".parse().expect("a prefix")];
    let domain = TrustDomain::new(name, prefixes, vec![anchor], revocation).expect("a domain");
    let store = TrustStore::new(vec![domain]).expect("a store");
    let issued = province.tls("430600").expect("a certificate");
    let chain: Vec<&[u8]> = issued.chain_der.iter().map(Vec::as_slice).collect();
    group.bench_function("judge a chain against it", |bencher| {
        bencher.iter(|| black_box(store.verify(Purpose::Tls, &chain, NOW_MS)).expect("good"));
    });
    group.finish();
}

criterion_group!(benches, reach);
criterion_main!(benches);
