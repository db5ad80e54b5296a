//! The pages, one file each, and the frame around them.

pub mod dashboard;
pub mod entry;
pub mod failure;
pub mod frame;
pub mod landing;
pub mod status;
