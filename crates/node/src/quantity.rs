//! Quantities of the API as numbers for the kernel.

use coracle_machinery::quantity::Quantity as Parsed;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

/// Returns the quantity in thousandths, rounded up; `None` if it is none.
pub fn milli(quantity: &Quantity) -> Option<i64> {
    quantity.0.parse::<Parsed>().ok().map(Parsed::milli_value)
}

/// Returns the quantity in units, rounded up; `None` if it is none.
pub fn units(quantity: &Quantity) -> Option<i64> {
    quantity.0.parse::<Parsed>().ok().map(Parsed::value)
}
