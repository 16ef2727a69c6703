//! Reads the CSV tables compiled into the module.
//!
//! Just enough CSV for our own files: quoted fields, no doubled quotes, no line
//! breaks within a field. A table that breaks this fails its unit test, never a
//! running node.

/// The rows behind the header line, each of exactly `N` fields.
pub(super) fn rows<const N: usize>(csv: &'static str) -> impl Iterator<Item = [&'static str; N]> {
    csv.lines()
        .skip(1)
        .map(|line| fields(line).try_into().expect("a unit test reads each embedded table whole"))
}

fn fields(line: &'static str) -> Vec<&'static str> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let (field, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("a unit test reads each embedded table whole"),
            None => rest.split_at(rest.find(',').unwrap_or(rest.len())),
        };
        fields.push(field);
        match after.strip_prefix(',') {
            Some(next) => rest = next,
            None => return fields,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_keep_commas_and_empty_fields_stay() {
        assert_eq!(fields("a,,\"b,c\",d,"), ["a", "", "b,c", "d", ""]);
        assert_eq!(fields(""), [""]);
    }
}
