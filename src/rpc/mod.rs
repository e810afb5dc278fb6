//! x
pub struct Encoded(pub bytes::Bytes);
