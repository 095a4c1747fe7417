//! Synthetic galleries that behave like those of real face models, from a seed.
//!
//! A realistic embedding is a draw with power-law covariance (eigenvalue i proportional to
//! `(i + 5)^-0.9186`), turned by three rounds of random signs and a Walsh-Hadamard transform (an
//! orthogonal map, fast, the same for the whole gallery), scaled to unit length. The isotropic
//! one has equal eigenvalues: a control that looks far too easy.
//!
//! Everything about person `p` follows from (seed, p) alone, without generating persons before.
//! The arithmetic is integers, f32 and f64 sums, products and square roots in a fixed order; no
//! logarithm or sine is used, so that two machines agree. Random numbers are SplitMix64
//! (Steele, Lea, Flood 2014); a normal draw is the sum of four 16-bit uniform numbers, whose range
//! is +-3.46 standard deviations.

use crate::{DIM, Embedding, PersonId, ReferenceId, Row};

/// Mean of the scores drawn for mated probes.
const MATED_MEAN: f64 = 0.73;
/// Their standard deviation, before the ends are cut.
const MATED_SD: f64 = 0.115;
/// Lowest and highest mated score.
const MATED_RANGE: (f64, f64) = (0.34, 0.985);
/// Score between two references of one person, about.
const SIBLING_SCORE: f64 = 0.81;

/// Which gallery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Spectrum of a real face model.
    Realistic,
    /// Equal variance in every direction.
    Isotropic,
}

/// A synthetic population.
#[derive(Clone, Debug)]
pub struct Synthetic {
    seed: u64,
    deviations: [f32; DIM],
    signs: [[f32; DIM]; 3],
}

/// What a stream of random numbers is for.
#[derive(Clone, Copy)]
enum Purpose {
    Signs,
    Centre,
    Sibling,
    Probe,
    Score,
    Stranger,
}

/// SplitMix64.
#[derive(Clone, Debug)]
pub struct Stream(u64);

impl Stream {
    /// The stream of a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    #[inline]
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// A number below `bound`, which is at least 1 (bias below 2^-32 for small bounds).
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.bits()) * u128::from(bound)) >> 64) as u64
    }

    /// A normal draw, times `2^16 / sqrt(3)`: an integer.
    #[inline]
    fn normal(&mut self) -> i32 {
        let bits = self.bits();
        let sum = (bits & 0xffff) + (bits >> 16 & 0xffff) + (bits >> 32 & 0xffff) + (bits >> 48);
        sum as i32 - 2 * 0xffff
    }
}

impl Synthetic {
    /// The population of a seed.
    pub fn new(seed: u64, shape: Shape) -> Self {
        let deviations = std::array::from_fn(|i| match shape {
            Shape::Realistic => (i as f64 + 5.0).powf(-0.9186 / 2.0) as f32,
            Shape::Isotropic => 1.0,
        });
        let mut bits = stream(seed, Purpose::Signs, 0, 0);
        let signs = std::array::from_fn(|_| {
            std::array::from_fn(|_| if bits.bits() & 1 == 0 { 1.0 } else { -1.0 })
        });
        Self {
            seed,
            deviations,
            signs,
        }
    }

    /// Reference `index` of a person. Two references of one person score about 0.81.
    pub fn reference(&self, person: u64, index: u64) -> Embedding {
        let centre = self.draw(stream(self.seed, Purpose::Centre, person, 0));
        if index == 0 {
            return centre;
        }
        self.beside(
            &centre,
            SIBLING_SCORE,
            stream(self.seed, Purpose::Sibling, person, index),
        )
    }

    /// A gallery row of a person's reference 0: reference id and person id are `person`.
    pub fn row(&self, person: u64) -> Row {
        let embedding = self.reference(person, 0);
        Row {
            reference: ReferenceId(person),
            person: PersonId(person),
            embedding,
        }
    }

    /// Someone who is not in the gallery.
    pub fn stranger(&self, number: u64) -> Embedding {
        self.draw(stream(self.seed, Purpose::Stranger, number, 0))
    }

    /// Probe `number` of a person, at a drawn score with their reference 0 (mean 0.73, standard
    /// deviation 0.115, 0.34..0.985).
    pub fn mated_probe(&self, person: u64, number: u64) -> Embedding {
        let normal = stream(self.seed, Purpose::Score, person, number).normal();
        let drawn = MATED_MEAN + MATED_SD * f64::from(normal) * (3.0f64.sqrt() / 65536.0);
        self.probe_at(person, number, drawn.clamp(MATED_RANGE.0, MATED_RANGE.1))
    }

    /// Probe `number` of a person whose score with their reference 0 is within 1e-6 of `score`.
    pub fn probe_at(&self, person: u64, number: u64, score: f64) -> Embedding {
        let reference = self.reference(person, 0);
        self.beside(
            &reference,
            score,
            stream(self.seed, Purpose::Probe, person, number),
        )
    }

    fn draw(&self, mut stream: Stream) -> Embedding {
        let mut x = self
            .deviations
            .map(|deviation| deviation * stream.normal() as f32);
        for signs in &self.signs {
            x.iter_mut().zip(signs).for_each(|(x, sign)| *x *= sign);
            walsh_hadamard(&mut x);
        }
        unit(x.map(f64::from))
    }

    /// A unit vector at this score with `x`, otherwise drawn from the population.
    fn beside(&self, x: &Embedding, score: f64, stream: Stream) -> Embedding {
        let other = self.draw(stream);
        let pairs = x.as_slice().iter().zip(other.as_slice());
        let along = pairs.fold(0.0, |sum, (&x, &o)| sum + f64::from(x) * f64::from(o));
        let across = ((1.0 - score * score) / (1.0 - along * along).max(1e-9)).sqrt();
        unit(std::array::from_fn(|i| {
            let (x, o) = (f64::from(x.as_slice()[i]), f64::from(other.as_slice()[i]));
            score * x + across * (o - along * x)
        }))
    }
}

fn unit(x: [f64; DIM]) -> Embedding {
    let mut lanes = [0.0f64; 8];
    for x in x.as_chunks::<8>().0 {
        (0..8).for_each(|lane| lanes[lane] += x[lane] * x[lane]);
    }
    let inverse = 1.0 / lanes.iter().sum::<f64>().sqrt();
    let scaled: [f32; DIM] = x.map(|x| (x * inverse) as f32);
    Embedding::new(&scaled).expect("just scaled to unit length; a draw of all zeros is 2^-8000")
}

/// In place; orthogonal up to the factor `sqrt(512)`, which scaling to unit length removes.
fn walsh_hadamard(x: &mut [f32; DIM]) {
    let mut half = DIM / 2;
    while half > 0 {
        for pair in x.chunks_exact_mut(2 * half) {
            let (a, b) = pair.split_at_mut(half);
            for (a, b) in a.iter_mut().zip(b) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half /= 2;
    }
}

fn stream(seed: u64, purpose: Purpose, a: u64, b: u64) -> Stream {
    let key = mix(seed ^ mix(purpose as u64 + 1));
    Stream(mix(key ^ mix(a.wrapping_add(0x51ed_270b))) ^ mix(b.wrapping_add(0xd6e8_feb8_6659_fd93)))
}

/// The finaliser of SplitMix64.
#[inline]
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::score::score;

    /// Mean, standard deviation and sorted scores.
    fn moments(mut scores: Vec<f64>) -> (f64, f64, Vec<f64>) {
        let n = scores.len() as f64;
        let mean = scores.iter().sum::<f64>() / n;
        let variance = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n;
        scores.sort_by(f64::total_cmp);
        (mean, variance.sqrt(), scores)
    }

    fn non_mated(shape: Shape) -> (f64, f64, Vec<f64>) {
        let people = Synthetic::new(2026, shape);
        let rows: Vec<Embedding> = (0..3000).map(|p| people.reference(p, 0)).collect();
        let pairs = (0..rows.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        moments(
            pairs
                .map(|(a, b)| f64::from(score(&rows[a], &rows[b])))
                .collect(),
        )
    }

    #[test]
    fn realistic_scores_are_those_of_real_models() {
        let (mean, sd, sorted) = non_mated(Shape::Realistic);
        assert!((-0.005..0.05).contains(&mean), "non-mated mean {mean}");
        assert!((0.086..0.112).contains(&sd), "non-mated sd {sd}");
        // 4.5 million pairs: the 1e-6 quantile is between the 1st and the 15th.
        let n = sorted.len();
        assert!(
            sorted[n - 1] > 0.40 && sorted[n - 16] < 0.42,
            "tail {:?}",
            &sorted[n - 16..]
        );

        let people = Synthetic::new(2026, Shape::Realistic);
        let mated = (0..5000).map(|person| {
            f64::from(score(
                &people.reference(person, 0),
                &people.mated_probe(person, 0),
            ))
        });
        let (mean, sd, sorted) = moments(mated.collect());
        assert!(
            (0.66..0.80).contains(&mean) && (0.10..0.13).contains(&sd),
            "mated {mean} {sd}"
        );
        assert!(
            sorted[0] > 0.3399 && sorted[0] < 0.45,
            "lowest mated {}",
            sorted[0]
        );
    }

    #[test]
    fn isotropic_scores_are_narrow() {
        let (mean, sd, _) = non_mated(Shape::Isotropic);
        assert!(mean.abs() < 0.001 && (sd - 1.0 / 512.0f64.sqrt()).abs() < 0.001);
    }

    #[test]
    fn a_person_follows_from_seed_and_number() {
        let people = Synthetic::new(1, Shape::Realistic);
        assert_eq!(
            people.reference(1_000_000, 2),
            people.clone().reference(1_000_000, 2)
        );
        assert_ne!(
            people.reference(1, 0),
            Synthetic::new(2, Shape::Realistic).reference(1, 0)
        );
        let siblings = score(&people.reference(9, 0), &people.reference(9, 3));
        assert!((siblings - 0.81).abs() < 1e-5);
        for at in [0.0, 0.41, 0.999, 1.0] {
            let found = score(&people.reference(4, 0), &people.probe_at(4, 7, at));
            assert!((f64::from(found) - at).abs() < 1e-6);
        }
    }

    #[test]
    fn the_same_everywhere() {
        // Bits written down once; a change means that committed answers no longer fit.
        let first = Synthetic::new(2026, Shape::Realistic).reference(0, 0);
        let found: Vec<u32> = first.as_slice()[..4].iter().map(|x| x.to_bits()).collect();
        assert_eq!(found, GOLDEN, "{found:#x?}");
    }

    const GOLDEN: [u32; 4] = [0x3c86a2a6, 0xbc050eed, 0xbd87127d, 0x3d827ec4];
}
