//! How long an answer takes: a normal distribution with a share of slow ones.

use std::f64::consts::TAU;
use std::time::Duration;

/// In milliseconds; read from `MEAN,SD,TAIL_PERCENT,TAIL_MS`.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latency {
    /// Mean of the usual answers.
    pub mean_ms: f64,
    /// Their standard deviation; what would be negative is 0.
    pub sd_ms: f64,
    /// Share of slow answers, 0..=100.
    pub tail_percent: f64,
    /// How long a slow answer takes.
    pub tail_ms: f64,
}

impl Latency {
    /// Reads one to four numbers; those left out are 0.
    ///
    /// # Errors
    /// In words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut numbers = [0.0; 4];
        let parts: Vec<_> = text.split(',').collect();
        if parts.len() > numbers.len() {
            return Err("write MEAN,SD,TAIL_PERCENT,TAIL_MS".into());
        }
        for (number, part) in numbers.iter_mut().zip(parts) {
            let read: f64 = part
                .trim()
                .parse()
                .map_err(|_| format!("{part:?} is no number"))?;
            if !(0.0..=3_600_000.0).contains(&read) {
                return Err(format!("{part:?} is out of range"));
            }
            *number = read;
        }
        let [mean_ms, sd_ms, tail_percent, tail_ms] = numbers;
        Ok(Self {
            mean_ms,
            sd_ms,
            tail_percent,
            tail_ms,
        })
    }
}

/// Draws from a [`Latency`], the same for the same seed. Opens have draws of their own: which of
/// them are slow does not hang on how often Space was asked for anything else.
#[derive(Debug)]
pub(crate) struct Sampler {
    pub(crate) latency: Latency,
    opens: Random,
    others: Random,
}

impl Sampler {
    pub(crate) fn new(latency: Latency, seed: u64) -> Self {
        Self {
            latency,
            opens: Random::new(seed),
            others: Random::new(!seed),
        }
    }

    pub(crate) fn sample(&mut self, is_open: bool) -> Duration {
        let Latency {
            mean_ms,
            sd_ms,
            tail_percent,
            tail_ms,
        } = self.latency;
        let random = if is_open {
            &mut self.opens
        } else {
            &mut self.others
        };
        let ms = if random.unit() * 100.0 < tail_percent {
            tail_ms
        } else {
            // Box and Muller: two uniform numbers give a normal one.
            let radius = (-2.0 * (1.0 - random.unit()).ln()).sqrt();
            mean_ms + sd_ms * radius * (TAU * random.unit()).cos()
        };
        Duration::from_secs_f64(ms.max(0.0) / 1_000.0)
    }
}

/// SplitMix64.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// 0.0..1.0.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// 0..`end`, where `end` is not 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_follow_the_distribution_and_the_seed() {
        let latency = Latency::parse("150,50,1,900").unwrap();
        let draw = |seed| {
            let mut sampler = Sampler::new(latency, seed);
            (0..20_000)
                .map(|_| sampler.sample(true).as_secs_f64() * 1_000.0)
                .collect::<Vec<_>>()
        };
        let samples = draw(1);
        assert_eq!(samples, draw(1));
        assert_ne!(samples, draw(2));
        let slow = samples.iter().filter(|ms| **ms == 900.0).count();
        assert!((140..260).contains(&slow), "{slow}");
        let usual: Vec<_> = samples.iter().filter(|ms| **ms != 900.0).collect();
        let mean = usual.iter().copied().sum::<f64>() / usual.len() as f64;
        assert!((149.0..152.0).contains(&mean), "{mean}");
    }

    /// Fails if both draw from one sequence: then a sync in between made other opens slow.
    #[test]
    fn opens_draw_apart_from_everything_else() {
        let draw = |others: usize| {
            let mut sampler = Sampler::new(Latency::parse("150,50,1,900").unwrap(), 1);
            for _ in 0..others {
                sampler.sample(false);
            }
            (0..10).map(|_| sampler.sample(true)).collect::<Vec<_>>()
        };
        assert_eq!(draw(0), draw(7));
    }

    #[test]
    fn missing_numbers_are_zero_and_odd_ones_are_refused() {
        assert_eq!(Latency::parse("20").unwrap().mean_ms, 20.0);
        for text in ["", "a", "1,2,3,4,5", "-1", "1,NaN"] {
            assert!(Latency::parse(text).is_err(), "{text}");
        }
    }
}
