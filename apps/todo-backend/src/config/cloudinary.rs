//! The account for uploads that do not stay here.

use super::reader::Reader;
use super::secrets::Secret;

/// The account at Cloudinary.
#[derive(Debug, Clone)]
pub struct Cloudinary {
    /// Part of the upload address.
    pub cloud_name: String,
    /// The key.
    pub key: Secret,
    /// Signs uploads.
    pub secret: Secret,
    /// Address without a final slash.
    pub base_url: String,
}

/// Returns the account when all of it is given.
pub(super) fn read_cloudinary(reader: &mut Reader) -> Option<Cloudinary> {
    let parts = (
        reader.optional("CLOUDINARY_CLOUD_NAME"),
        reader.secret("CLOUDINARY_API_KEY"),
        reader.secret("CLOUDINARY_API_SECRET"),
    );
    match parts {
        (Some(cloud_name), Some(key), Some(secret)) => {
            let base_url = reader.base("CLOUDINARY_BASE_URL");
            Some(Cloudinary {
                cloud_name,
                key,
                secret,
                base_url,
            })
        }
        (None, None, None) => None,
        _ => {
            let note = "Cloudinary needs name, key and secret; uploads stay in UPLOADS_DIR";
            reader.note(note);
            None
        }
    }
}
