//! Numbers of the host, and the elements of devices that they become: floats or words of one width.

/// What can be written to a device and read from it. A float is rounded, or widened, to the device's precision.
pub trait Value: Copy + Default + sealed::Sealed + 'static {
    /// As an element of 4 bytes.
    fn bits_32(self) -> u32;
    /// From an element of 4 bytes.
    fn from_bits_32(bits: u32) -> Self;
    /// As an element of 8 bytes.
    fn bits_64(self) -> u64;
    /// From an element of 8 bytes.
    fn from_bits_64(bits: u64) -> Self;
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
    impl Sealed for u32 {}
}

impl Value for f32 {
    fn bits_32(self) -> u32 {
        self.to_bits()
    }

    fn from_bits_32(bits: u32) -> Self {
        Self::from_bits(bits)
    }

    fn bits_64(self) -> u64 {
        f64::from(self).to_bits()
    }

    fn from_bits_64(bits: u64) -> Self {
        f64::from_bits(bits) as Self
    }
}

impl Value for f64 {
    fn bits_32(self) -> u32 {
        (self as f32).to_bits()
    }

    fn from_bits_32(bits: u32) -> Self {
        f32::from_bits(bits).into()
    }

    fn bits_64(self) -> u64 {
        self.to_bits()
    }

    fn from_bits_64(bits: u64) -> Self {
        Self::from_bits(bits)
    }
}

impl Value for u32 {
    fn bits_32(self) -> u32 {
        self
    }

    fn from_bits_32(bits: u32) -> Self {
        bits
    }

    fn bits_64(self) -> u64 {
        self.into()
    }

    /// Words are written as words, so nothing is lost.
    fn from_bits_64(bits: u64) -> Self {
        bits as Self
    }
}
