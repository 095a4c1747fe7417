//! Chooses which bytes the first pass reads, and says why.
//!
//! For rows and probes of a known spectrum, a plane leaves a row undecided if its score exceeds
//! the threshold less the bound. Both are predicted from the spectrum: scores of non-mated pairs
//! are about normal with variance `sum of squared eigenvalues`, and a block of dimensions adds to
//! the bound its share of the variance times the relative residual of its codes. Being wrong costs
//! time, never an answer; a search also counts what survives and changes its mind.
//!
//! One probe waits for memory, so its pass reads few bytes. In a batch the bytes are shared and the
//! products are not: there it pays to read half the dimensions in three times the precision, and
//! to let int8 look at a few times as many rows ([`Prediction::uses_batch_plane`]).

use crate::DIM;
use crate::int8::Int8Norm;
use crate::limits::PROBES_MAX;
use crate::plane::Geometry;
use std::fmt;

/// Relative residual norm of the best uniform codes of 6, 4 and 2 bits for a normal distribution.
const RESIDUAL6: f64 = 0.033;
const RESIDUAL4: f64 = 0.107;
const RESIDUAL2: f64 = 0.345;
/// What the probe's own codes add to the bound, about.
const PROBE_TERM: f64 = 0.012;
/// Nanoseconds to read one byte in a scan, and to look at one survivor's int8 codes, which lie
/// alone in memory: 280 were measured for one probe, 80 in a batch, whose rows cost a third as
/// much in turn. (With 40 here, 132 bytes a row were chosen, and half the time went to survivors.)
const NS_PER_BYTE: f64 = 0.045;
const NS_PER_SURVIVOR: f64 = 400.0;
/// Nanoseconds of one product in a batch (AVX2 and AVX-512 alike on Zen 4), of one survivor of a
/// batch, whose row is in the cache; and to bring every row's int8 codes there, as a scan of a
/// batch plane does: memory streams. (64 probes of 1,000,000 rows, AVX-512 VNNI, two threads: 79 ms
/// with 192 dimensions, 65 with 256, 69 with 320; called for one by one, 256 took 12 % longer.)
const NS_PER_PRODUCT: f64 = 0.0055;
const NS_PER_BATCH_SURVIVOR: f64 = 14.0;
const NS_PER_STREAMED_ROW: f64 = 40.0;
/// Part of the rows above which int8 alone is faster than a plane before it.
pub(crate) const SURVIVORS_MAX: f64 = 0.3;
/// The same for a batch plane before the lone one.
pub(crate) const BATCH_SURVIVORS_MAX: f64 = 0.12;
/// The batch that a batch plane is chosen for.
const USUAL_BATCH: usize = 64;
/// What a plan is made for if nobody says.
pub(crate) const USUAL_THRESHOLD: f64 = 0.41;

/// The geometries worth having, smallest first.
const GEOMETRIES: [Geometry; 4] = [
    Geometry::lone(128, 256),
    Geometry::lone(128, 384),
    SAFE,
    Geometry::lone(512, 0),
];
/// Good on every gallery that was tried.
const SAFE: Geometry = Geometry::lone(256, 256);
/// Dimensions of batch planes worth having.
const BATCH_DIMS: [usize; 3] = [192, 256, Geometry::LARGEST_BATCH.dims6];

/// What the planes are expected to do.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prediction {
    geometry: Geometry,
    /// Threshold it was made for.
    pub threshold: f64,
    /// Expected bound on what the codes leave open.
    pub bound: f64,
    /// Expected standard deviation of non-mated scores.
    pub deviation: f64,
    /// Expected part of the rows that survive.
    pub survivors: f64,
    batch: Option<Geometry>,
    /// The same of the batch plane; none if there is no such plane.
    pub batch_survivors: Option<f64>,
}

impl Prediction {
    pub(crate) fn new(
        geometry: Geometry,
        batch: Option<Geometry>,
        spectrum: &[f32; DIM],
        threshold: f64,
    ) -> Self {
        let spectrum = spectrum.map(f64::from);
        let total = spectrum.iter().sum::<f64>().max(1e-9);
        let share = |block: &[f64]| block.iter().sum::<f64>() / total;
        let deviation = spectrum.iter().map(|v| v * v).sum::<f64>().sqrt() / total;
        let bound = |read: Geometry| {
            let (six, rest) = spectrum.split_at(read.dims6);
            let (four, rest) = rest.split_at(read.dims4);
            let (two, dropped) = rest.split_at(read.dims2);
            let coded = RESIDUAL6 * share(six) + RESIDUAL4 * share(four) + RESIDUAL2 * share(two);
            coded + share(dropped) + PROBE_TERM
        };
        let survivors = |read| upper_tail((threshold - bound(read)) / deviation.max(1e-9));
        Self {
            geometry,
            threshold,
            bound: bound(geometry),
            deviation,
            survivors: survivors(geometry),
            batch,
            batch_survivors: batch.map(survivors),
        }
    }

    /// True if a pass of so many probes should read the batch plane.
    pub fn uses_batch_plane(&self, probes: usize) -> bool {
        let Some((batch, survivors)) = self.batch.zip(self.batch_survivors) else {
            return false;
        };
        survivors <= BATCH_SURVIVORS_MAX
            && batch_ns_per_row(batch, survivors, probes)
                < batch_ns_per_row(self.geometry, self.survivors, probes)
    }

    /// Bytes of a row that the first pass of so many probes reads.
    pub fn row_bytes(&self, probes: usize) -> usize {
        let batch = self.batch.filter(|_| self.uses_batch_plane(probes));
        if batch.is_none() && !self.uses_plane() {
            return DIM + size_of::<Int8Norm>();
        }
        batch.unwrap_or(self.geometry).row_bytes()
    }

    /// True if the plane should be read before int8.
    pub fn uses_plane(&self) -> bool {
        self.survivors <= SURVIVORS_MAX
    }

    fn ns_per_row(&self) -> f64 {
        self.geometry.row_bytes() as f64 * NS_PER_BYTE + self.survivors * NS_PER_SURVIVOR
    }
}

/// Nanoseconds a row of a batch that reads these dimensions, of which so many rows survive for one
/// probe. A row is brought to the cache once for all probes that want it; of a batch plane all are.
fn batch_ns_per_row(read: Geometry, survivors: f64, probes: usize) -> f64 {
    let probes = probes as f64;
    let products = read.dims() as f64 * probes;
    let fetch = if read.is_batch() {
        NS_PER_STREAMED_ROW
    } else {
        NS_PER_SURVIVOR * (1.0 - (1.0 - survivors).powf(probes))
    };
    read.row_bytes() as f64 * NS_PER_BYTE
        + products * NS_PER_PRODUCT
        + fetch
        + survivors * probes * NS_PER_BATCH_SURVIVOR
}

/// The geometry of the lone plane for rows of this spectrum.
pub(crate) fn choose(spectrum: &[f32; DIM], threshold: f64) -> Geometry {
    let predictions =
        GEOMETRIES.map(|geometry| Prediction::new(geometry, None, spectrum, threshold));
    let best = predictions
        .iter()
        .min_by(|a, b| a.ns_per_row().total_cmp(&b.ns_per_row()));
    best.map_or(SAFE, |best| best.geometry)
}

/// The geometry of a batch plane beside this lone one, if a full batch is faster with any.
pub(crate) fn choose_batch(
    lone: Geometry,
    spectrum: &[f32; DIM],
    threshold: f64,
) -> Option<Geometry> {
    let useful = BATCH_DIMS.into_iter().filter_map(|dims| {
        let geometry = Geometry::batch(dims);
        let prediction = Prediction::new(lone, Some(geometry), spectrum, threshold);
        let survivors = prediction.batch_survivors?;
        prediction
            .uses_batch_plane(USUAL_BATCH)
            .then_some((geometry, batch_ns_per_row(geometry, survivors, USUAL_BATCH)))
    });
    useful
        .min_by(|a, b| a.1.total_cmp(&b.1))
        .map(|(geometry, _)| geometry)
}

/// Probability that a normal variable exceeds `z` (Abramowitz and Stegun 26.2.17).
fn upper_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - upper_tail(-z);
    }
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let series = [
        1.330_274_429,
        -1.821_255_978,
        1.781_477_937,
        -0.356_563_782,
        0.319_381_530,
    ];
    let poly = series.iter().fold(0.0, |sum, c| (sum + c) * t);
    poly * (-z * z / 2.0).exp() * 0.398_942_280_4
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Geometry { dims4, dims2, .. } = self.geometry;
        let pass = if self.uses_plane() {
            "reads the plane first"
        } else {
            "reads int8 at once"
        };
        write!(
            f,
            "{pass}: {dims4} dimensions at 4 bits, {dims2} at 2, {} bytes a row; at {:.3} the \
             bound is about {:.3}, non-mated scores spread by {:.3}, so {:.0} rows in a million \
             survive",
            self.geometry.row_bytes(),
            self.threshold,
            self.bound,
            self.deviation,
            self.survivors * 1e6,
        )?;
        let first = (2..=PROBES_MAX).find(|&probes| self.uses_batch_plane(probes));
        match self.batch.zip(first) {
            Some((batch, probes)) => write!(
                f,
                "; from {probes} probes a pass, {} dimensions at 6 bits are read, and {:.0}",
                batch.dims6,
                self.batch_survivors.unwrap_or_default() * 1e6
            ),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spectrum(eigenvalue: impl Fn(f32) -> f32) -> [f32; DIM] {
        let raw: [f32; DIM] = std::array::from_fn(|i| eigenvalue(i as f32));
        let total: f32 = raw.iter().sum();
        raw.map(|v| v / total)
    }

    #[test]
    fn small_planes_where_variance_is_gathered_only() {
        let realistic = spectrum(|i| (i + 5.0).powf(-0.9186));
        let isotropic = spectrum(|_| 1.0);
        assert_eq!(choose(&realistic, 0.41), SAFE);
        assert!(choose(&realistic, 0.55).row_bytes() < SAFE.row_bytes());
        // Dropping a quarter of isotropic dimensions leaves half a unit of score open.
        assert!(choose(&isotropic, 0.41).dims4 + choose(&isotropic, 0.41).dims2 == DIM);
        let low = Prediction::new(SAFE, None, &realistic, 0.1);
        assert!(!low.uses_plane() && low.to_string().contains("int8"));
        let batch = choose_batch(SAFE, &realistic, 0.41);
        let usual = Prediction::new(SAFE, batch, &realistic, 0.41);
        assert!(usual.uses_plane() && usual.survivors < 0.01, "{usual}");
        // A lone probe waits for memory; a batch for the products.
        assert_eq!(batch, Some(Geometry::batch(256)));
        assert!(
            !usual.uses_batch_plane(1) && usual.uses_batch_plane(64),
            "{usual}"
        );
        // Half of isotropic variance lies in the other half of the dimensions.
        assert_eq!(choose_batch(SAFE, &isotropic, 0.41), None);
    }

    #[test]
    fn the_normal_tail() {
        for (z, p) in [
            (0.0, 0.5),
            (1.0, 0.158_655),
            (-1.0, 0.841_345),
            (3.0, 0.001_349_9),
        ] {
            assert!((upper_tail(z) - p).abs() < 1e-6);
        }
    }
}
