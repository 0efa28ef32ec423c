//! Decides where the samples of an upload live while it is looked at: in one buffer that every upload uses again.
//!
//! An upload is a slice of samples whose ids are borrowed from the payload, so its buffer would have to be allocated anew
//! for every payload; at a million uploads that is a large part of the time.

use pipeline::fact::Sample;

/// Room for samples. It keeps its capacity, never its contents.
#[derive(Default)]
pub(crate) struct SampleBuffer {
    // What is in here has outlived its payload, whatever the type says: it is never read, copied or printed as it
    // stands. `lend` is the only way in, and begins with `clear`.
    samples: Vec<Sample<'static>>,
}

impl SampleBuffer {
    /// The empty buffer, for samples that live as long as this borrow.
    #[expect(unsafe_code, reason = "the lifetime of an empty buffer; see below")]
    pub(crate) fn lend<'s>(&'s mut self) -> &'s mut Vec<Sample<'s>> {
        self.samples.clear();
        let samples: *mut Vec<Sample<'static>> = &raw mut self.samples;
        // SAFETY: the two types differ in a lifetime only, hence not in layout. The buffer is empty, so nothing of an
        // earlier borrow can be read through the result; what is put in lives for 's, and while 's lasts `self` is
        // mutably borrowed, so no one can read it as 'static. After 's nothing reads it: the field is private, `clear`
        // and drop do not look at elements that have nothing to drop.
        unsafe { &mut *samples.cast::<Vec<Sample<'s>>>() }
    }
}
