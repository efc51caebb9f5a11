//! Pictures of one byte a pixel, and boxes in them.

/// One byte for every pixel, rows from top to bottom.
#[derive(Debug, Clone)]
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) pixels: Vec<u8>,
}

impl Plane {
    /// A picture that is black all over.
    pub(super) fn black(width: usize, height: usize) -> Self {
        Self { width, height, pixels: vec![0; width * height] }
    }

    /// All of it.
    pub(super) fn area(&self) -> Area {
        Area { left: 0, top: 0, right: self.width, bottom: self.height }
    }

    /// The part of a row that a box covers.
    pub(super) fn row(&self, y: usize, area: Area) -> &[u8] {
        &self.pixels[y * self.width + area.left..y * self.width + area.right]
    }
}

/// A box of pixels: `left` and `top` belong to it, `right` and `bottom` do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Area {
    pub(super) left: usize,
    pub(super) top: usize,
    pub(super) right: usize,
    pub(super) bottom: usize,
}

impl Area {
    /// Pixels in a row.
    pub(super) fn width(&self) -> usize {
        self.right - self.left
    }

    /// Rows.
    pub(super) fn height(&self) -> usize {
        self.bottom - self.top
    }

    /// Twice the row in the middle: halves count when boxes are compared.
    pub(super) fn middle(&self) -> usize {
        self.top + self.bottom
    }

    /// The smallest box around both.
    pub(super) fn with(&self, other: &Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// How many rows they share.
    pub(super) fn shared_rows(&self, other: &Self) -> usize {
        self.bottom.min(other.bottom).saturating_sub(self.top.max(other.top))
    }

    /// How many columns lie between them; none when one is above the other.
    pub(super) fn gap(&self, other: &Self) -> usize {
        self.left.max(other.left).saturating_sub(self.right.min(other.right))
    }

    /// How many pixels they share.
    pub(super) fn shared(&self, other: &Self) -> usize {
        self.shared_rows(other) * self.right.min(other.right).saturating_sub(self.left.max(other.left))
    }

    /// Each side times `factor`.
    pub(super) fn times(&self, factor: usize) -> Self {
        Self {
            left: self.left * factor,
            top: self.top * factor,
            right: self.right * factor,
            bottom: self.bottom * factor,
        }
    }
}
