pub mod attach;
pub mod racing;
