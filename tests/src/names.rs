//! Asking a name server, without a library between.

/// Returns the question for the addresses of a name (RFC 1035, section 4).
pub fn question(name: &str) -> Vec<u8> {
    let mut question = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00".to_vec();
    for label in name.split('.').chain([""]) {
        question.push(label.len() as u8);
        question.extend(label.bytes());
    }
    question.extend([0, 1, 0, 1]);
    question
}
