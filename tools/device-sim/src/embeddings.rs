//! Embeddings from a file: a probes file of the load test, or a NumPy array of f32 with 512
//! columns.

use std::fs;
use std::path::Path;

use cardea_loadtest::probes::Probes;

use crate::limits::EMBEDDINGS_MAX;

const EMBEDDING_BYTES: usize = 2_048;
const NPY_MAGIC: &[u8] = b"\x93NUMPY\x01\x00";

/// Embeddings and the face model that made them.
#[derive(Debug)]
pub(crate) struct Embeddings {
    /// The face model, where the file names one.
    pub(crate) model: Option<[u8; 16]>,
    /// The embeddings, at least one.
    pub(crate) rows: Vec<[u8; EMBEDDING_BYTES]>,
}

/// Reads either kind of file.
pub(crate) fn read(path: &Path) -> Result<Embeddings, String> {
    let bytes = fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let read = if bytes.starts_with(NPY_MAGIC) {
        from_npy(&bytes)
    } else {
        from_probes(&bytes)
    };
    read.map_err(|why| format!("{}: {why}", path.display()))
}

fn from_probes(bytes: &[u8]) -> Result<Embeddings, String> {
    let probes = Probes::parse(bytes).map_err(|error| error.to_string())?;
    let rows = (0..probes.count()).map(|number| *probes.embedding(number));
    Ok(Embeddings {
        model: Some(probes.origin.model),
        rows: rows.collect(),
    })
}

fn from_npy(bytes: &[u8]) -> Result<Embeddings, String> {
    let length = bytes.get(8..10).ok_or("cut off")?;
    let header_end = 10 + usize::from(length[0]) + 256 * usize::from(length[1]);
    let header = bytes.get(10..header_end).ok_or("cut off")?;
    let header = std::str::from_utf8(header).map_err(|_| "no NumPy header")?;
    let is_f32 = header.contains("'descr': '<f4'") && header.contains("'fortran_order': False");
    if !is_f32 || !header.contains(", 512)") {
        return Err("not an array of little-endian f32 with 512 columns".to_owned());
    }
    let (rows, rest) = bytes[header_end..].as_chunks::<EMBEDDING_BYTES>();
    if rows.is_empty() || !rest.is_empty() || rows.len() > EMBEDDINGS_MAX {
        return Err(format!("not 1 to {EMBEDDINGS_MAX} whole rows"));
    }
    Ok(Embeddings {
        model: None,
        rows: rows.to_vec(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn npy(rows: usize, shape: &str) -> Vec<u8> {
        let text = format!("{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}, }}\n");
        let mut bytes = NPY_MAGIC.to_vec();
        bytes.extend_from_slice(&(text.len() as u16).to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
        bytes.extend_from_slice(&vec![3; rows * EMBEDDING_BYTES]);
        bytes
    }

    #[test]
    fn a_numpy_array_gives_its_rows_and_anything_else_is_refused() {
        let read = from_npy(&npy(2, "(2, 512)")).expect("two rows");
        assert_eq!(read.rows.len(), 2);
        assert_eq!(read.model, None);
        assert!(from_npy(&npy(0, "(0, 512)")).is_err());
        assert!(from_npy(&npy(1, "(4, 128)")).is_err());
        assert!(from_npy(&npy(EMBEDDINGS_MAX + 1, "(100001, 512)")).is_err());
        let whole = npy(1, "(1, 512)");
        assert!(from_npy(&whole[..whole.len() - 1]).is_err());
        assert!(from_npy(&whole[..9]).is_err());
        assert!(from_probes(b"neither").is_err());
    }
}
