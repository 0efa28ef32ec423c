//! Decides how chance is drawn in the simulated town: the same numbers for a seed, for ever, on every machine.
//!
//! The generator is SplitMix64 (Steele, Lea, Flood 2014), written out here so that no upgrade of a library can change a
//! town. For the same reason nothing here calls the system's mathematics library, whose last digits differ between
//! machines: only `+ - × ÷` are used, which IEEE 754 fixes to the bit. What is drawn is left to the callers.

/// The step between two states of SplitMix64: 2^64 divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// A stream of numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Random {
    state: u64,
}

impl Random {
    /// The stream that belongs to these parts, in this order: a seed, a person, a date, ….
    ///
    /// Streams of different parts are independent, so that what one person does never moves what another does.
    pub(super) fn of(parts: &[u64]) -> Self {
        let state = parts.iter().fold(0, |state: u64, part| mix(state.wrapping_add(GOLDEN) ^ mix(*part)));
        Random { state }
    }

    /// The next 64 bits.
    pub(super) fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A whole number from 0 to `bound − 1`; 0 if the bound is 0.
    ///
    /// Multiply-and-shift favours some results by at most `bound` in 2^32, which no simulation here can tell.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        (((self.bits() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// A whole number from `first` to `last`, both included; `first` if `last` is smaller.
    pub(super) fn between(&mut self, first: i32, last: i32) -> i32 {
        first + self.below((last - first + 1).max(1) as u32) as i32
    }

    /// A number from 0 (included) to 1 (excluded).
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// True in `share` of the calls: never at 0, always at 1.
    pub(super) fn chance(&mut self, share: f64) -> bool {
        self.unit() < share
    }

    /// Nearly normal, mean 0 and standard deviation 1: the sum of four uniform numbers (Irwin–Hall), within ±3.47.
    pub(super) fn normal(&mut self) -> f64 {
        const ROOT_OF_THREE: f64 = 1.732_050_807_568_877_2;
        let bits = self.bits();
        let sum: u32 = (0..4).map(|quarter| (bits >> (16 * quarter)) as u16).map(u32::from).sum();
        (f64::from(sum) / 65_536.0 - 2.0) * ROOT_OF_THREE
    }

    /// One of several, each as likely; the slice must not be empty.
    pub(super) fn pick<T: Copy>(&mut self, several: &[T]) -> T {
        several[self.below(several.len() as u32) as usize]
    }
}

/// The exponential function to about three digits, as (1 + x/4096)^4096: repeated squaring, the same on every machine.
pub(super) fn exponential(x: f64) -> f64 {
    (0..12).fold(1.0 + x / 4096.0, |power, _| power * power)
}

/// SplitMix64's finisher: every input bit moves every output bit.
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_generator_is_splitmix64() {
        // The reference implementation's first three outputs for the state 1234567.
        let mut random = Random { state: 1_234_567 };
        let drawn = [random.bits(), random.bits(), random.bits()];
        assert_eq!(drawn, [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423]);
    }

    #[test]
    fn draws_keep_their_bounds_and_their_shape() {
        let mut random = Random::of(&[1, 2]);
        assert!((0..1000).all(|_| (3..=9).contains(&random.between(3, 9))));
        assert_eq!((random.below(0), random.between(5, 4)), (0, 5));
        assert!(!random.chance(0.0) && random.chance(1.0));
        let draws: Vec<f64> = (0..100_000).map(|_| random.normal()).collect();
        let mean = draws.iter().sum::<f64>() / 1e5;
        let variance = draws.iter().map(|x| x * x).sum::<f64>() / 1e5;
        assert!(mean.abs() < 0.02 && (variance - 1.0).abs() < 0.02, "{mean} {variance}");
        assert!((exponential(1.0) - std::f64::consts::E).abs() < 0.002 && (exponential(-0.5) - 0.6065).abs() < 0.001);
    }
}
