//! `state.safetensors`: the state of a run, besides its parameters. A run that continues from it makes the same rows,
//! bit for bit, as one that was never stopped. Tensors:
//!
//! | name | type, shape | |
//! |---|---|---|
//! | `step` | u64 | updates made |
//! | `secs` | f64 | seconds spent so far |
//! | `tables` | u64 \[3\] | bytes of `metrics.csv`, `curvature.csv` and `oscillation.csv` |
//! | `data.epoch`, `data.position` | u64 | in minibatch runs, the beginning of the batch of this step ([`Cursor`]) |
//! | `momentum` | f32 or f64 \[n] | with momentum, the velocity v |
//! | `first_moment`, `second_moment` | f32 or f64 \[n] | of adaptive bases, the running means of gradients and of their squares |
//! | `moments_since` | u64 | the update with which these began, if that is not the first |
//! | `held` | f64 | with `optim.schedule = "edge"`, the factor of the learning rate since the latest measurement |
//! | `midpoint.before` | f32 or f64 \[n] | with `measure.at = "midpoint"`, the parameters one update earlier |
//! | `track.*` | | the eigensolver's warm start ([`Track`]) |
//! | `update_track.*` | | the same for the update operator, where it was solved |
//! | `window.*` | | an oscillation being followed |
//!
//! The metadata `choices` are those of the manifest, as JSON. Random numbers have no state: batches and start vectors
//! follow from the seed and the step.

use std::borrow::Cow;

use safetensors::tensor::{Dtype, SafeTensors, View, serialize};

use super::checkpoint::{Checkpoint, step_of};
use super::choices::{Known, from_words, words};
use super::run_dir::RunDirError;
use crate::curvature::Track;
use crate::model::StoreError;
use crate::optim::{Cursor, Moment};
use crate::text::counted;

/// See the module text.
#[derive(Debug, Clone, PartialEq)]
pub struct RunState {
    /// Updates made.
    pub step: u64,
    /// Seconds spent so far.
    pub secs: f64,
    /// Bytes of `metrics.csv`, `curvature.csv` and `oscillation.csv`; 0 for a table that the run does not write.
    pub tables: [u64; 3],
    /// The beginning of the batch of this step.
    pub cursor: Option<Cursor>,
    /// The vectors of the optimizer's state, in the order of [`Moment::ALL`].
    pub moments: Vec<(Moment, Vec<f64>)>,
    /// Updates made before these vectors began.
    pub moments_since: u64,
    /// The factor of a learning rate that measurements set.
    pub held: Option<f64>,
    /// The parameters one update earlier.
    pub before: Option<Vec<f64>>,
    /// The eigensolver's warm start.
    pub track: Option<Track>,
    /// The same for the update operator.
    pub update_track: Option<Track>,
    /// An oscillation being followed.
    pub window: Option<OscillationWindow>,
    /// The kernels in use.
    pub known: Known,
}

/// A window of updates in which the parameters are followed along two directions.
#[derive(Debug, Clone, PartialEq)]
pub struct OscillationWindow {
    /// Its first step.
    pub first_step: u64,
    /// λ₁ there.
    pub lambda: f64,
    /// w there.
    pub origin: Vec<f64>,
    /// v₁ there.
    pub v1: Vec<f64>,
    /// n, the unit vector along ∇λ₁ without its part along v₁.
    pub rise: Vec<f64>,
    /// Its length before.
    pub slope: f64,
    /// ⟨∇L(w₀), n⟩
    pub gradient: f64,
    /// |cos(∇L(w₀), v₁)|; NaN in a file of an early version.
    pub alignment: f64,
    /// ⟨w − w₀, v₁⟩ before each update so far and after the last.
    pub along: Vec<f64>,
    /// ⟨w − w₀, n⟩ of the same.
    pub drift: Vec<f64>,
}

impl RunState {
    /// The bytes of the file.
    ///
    /// # Errors
    /// [`StoreError::Format`], should the library refuse.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StoreError> {
        self.tensors().serialize(&self.known)
    }

    /// All tensors by name; long vectors are borrowed.
    fn tensors(&self) -> Tensors<'_> {
        let mut tensors = Tensors::default();
        tensors.u64("step", self.step);
        tensors.f64("secs", self.secs);
        tensors.add("tables", Dtype::U64, &[3], self.tables.iter().flat_map(|x| x.to_le_bytes()).collect());
        if let Some(Cursor { epoch, position }) = self.cursor {
            tensors.u64("data.epoch", epoch);
            tensors.u64("data.position", position);
        }
        if self.moments_since > 0 {
            tensors.u64("moments_since", self.moments_since);
        }
        if let Some(held) = self.held {
            tensors.f64("held", held);
        }
        let moments = self.moments.iter().map(|(moment, vector)| (moment.word(), vector));
        for (name, vector) in moments.chain(self.before.iter().map(|vector| ("midpoint.before", vector))) {
            // In 32 bits where that loses nothing, as in a run of that precision.
            match narrow(vector) {
                Some(narrow) => tensors.add(name, Dtype::F32, &[vector.len()], Cow::Owned(narrow)),
                None => tensors.f64s(name, vector),
            }
        }
        for (name, track) in [("track", &self.track), ("update_track", &self.update_track)] {
            let Some(Track { values, vectors, wanted, changes, persistence }) = track else { continue };
            tensors.f64s(&format!("{name}.values"), values);
            tensors.matrix(&format!("{name}.vectors"), vectors);
            tensors.u64(&format!("{name}.wanted"), *wanted as u64);
            tensors.matrix(&format!("{name}.changes"), changes);
            tensors.f64(&format!("{name}.persistence"), *persistence);
        }
        if let Some(window) = &self.window {
            let OscillationWindow { first_step, lambda, origin, v1, rise, slope, gradient, along, drift, .. } = window;
            tensors.u64("window.first_step", *first_step);
            let scalars = [*lambda, *slope, *gradient];
            tensors.add("window.scalars", Dtype::F64, &[3], scalars.iter().flat_map(|x| x.to_le_bytes()).collect());
            tensors.f64("window.alignment", window.alignment);
            for (name, vector) in [("origin", origin), ("v1", v1), ("rise", rise), ("along", along), ("drift", drift)] {
                tensors.f64s(&format!("window.{name}"), vector);
            }
        }
        tensors
    }

    /// The state in a checkpoint of a run of `n` parameters, which must be that of the step in the folder's name.
    ///
    /// # Errors
    /// [`RunDirError::Damaged`].
    pub fn of(checkpoint: &Checkpoint, n: usize) -> Result<Self, RunDirError> {
        let state = Self::from_bytes(&checkpoint.state, n).and_then(|state| match step_of(&checkpoint.path) {
            Some(step) if step == state.step => Ok(state),
            Some(_) | None => Err(format!("it is that of step {}; give the folder its name", state.step)),
        });
        state.map_err(|problem| RunDirError::Damaged { path: checkpoint.path.clone(), problem })
    }

    /// Reads the file of a run of `n` parameters.
    ///
    /// # Errors
    /// In words: the tensor that is missing or does not fit.
    pub fn from_bytes(bytes: &[u8], n: usize) -> Result<Self, String> {
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(|error| error.to_string())?;
        let choices = header.metadata().as_ref().and_then(|metadata| metadata.get("choices")).ok_or("no `choices`")?;
        let file = File(SafeTensors::deserialize(bytes).map_err(|error| error.to_string())?);
        let step = file.u64("step")?;
        let tables = file.u64s("tables")?;
        let cursor = match file.has("data.epoch") {
            true => Some(Cursor { epoch: file.u64("data.epoch")?, position: file.u64("data.position")? }),
            false => None,
        };
        let mut moments = vec![];
        for moment in Moment::ALL {
            moments.extend(file.vector(moment.word(), n)?.map(|vector| (moment, vector)));
        }
        let state = Self {
            step,
            secs: file.f64("secs")?,
            tables: tables.try_into().map_err(|_| "`tables` must have 3 numbers")?,
            cursor,
            moments,
            moments_since: if file.has("moments_since") { file.u64("moments_since")? } else { 0 },
            held: file.has("held").then(|| file.f64("held")).transpose()?,
            before: file.vector("midpoint.before", n)?,
            track: file.track("track", n)?,
            update_track: file.track("update_track", n)?,
            window: file.window(n)?,
            known: serde_json::from_str(choices).map_err(|error| format!("`choices`: {error}")).and_then(from_words)?,
        };
        // An unknown tensor would be lost, and the run would continue differently.
        let tensors = state.tensors();
        match file.0.names().into_iter().find(|&name| !tensors.0.iter().any(|(known, _)| known == name)) {
            Some(name) => Err(format!("`{name}` does not go with the other tensors")),
            None => Ok(state),
        }
    }
}

/// Tensors being written.
#[derive(Default)]
struct Tensors<'a>(Vec<(String, StoredTensor<'a>)>);

/// A tensor in pieces, one after the other: the bytes of the file are the only copy of them all.
struct StoredTensor<'a> {
    dtype: Dtype,
    shape: Vec<usize>,
    pieces: Vec<Cow<'a, [u8]>>,
}

impl View for &StoredTensor<'_> {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        match &self.pieces[..] {
            [piece] => Cow::Borrowed(piece),
            pieces => Cow::Owned(pieces.concat()),
        }
    }

    fn data_len(&self) -> usize {
        self.pieces.iter().map(|piece| piece.len()).sum()
    }
}

/// Numbers in the file's byte order; borrowed from memory if that is the machine's.
fn le_bytes<T: bytemuck::Pod, const N: usize>(values: &[T], of: fn(T) -> [u8; N]) -> Cow<'_, [u8]> {
    if cfg!(target_endian = "little") {
        return Cow::Borrowed(bytemuck::cast_slice(values));
    }
    Cow::Owned(values.iter().flat_map(|&x| of(x)).collect())
}

impl<'a> Tensors<'a> {
    fn add(&mut self, name: &str, dtype: Dtype, shape: &[usize], bytes: Cow<'a, [u8]>) {
        self.0.push((name.to_owned(), StoredTensor { dtype, shape: shape.to_vec(), pieces: vec![bytes] }));
    }

    fn u64(&mut self, name: &str, value: u64) {
        self.add(name, Dtype::U64, &[], value.to_le_bytes().to_vec().into());
    }

    fn f64(&mut self, name: &str, value: f64) {
        self.add(name, Dtype::F64, &[], value.to_le_bytes().to_vec().into());
    }

    fn f64s(&mut self, name: &str, values: &'a [f64]) {
        self.add(name, Dtype::F64, &[values.len()], le_bytes(values, f64::to_le_bytes));
    }

    fn matrix(&mut self, name: &str, rows: &'a [Vec<f64>]) {
        let shape = vec![rows.len(), rows.first().map_or(0, Vec::len)];
        let pieces = rows.iter().map(|row| le_bytes(row, f64::to_le_bytes)).collect();
        self.0.push((name.to_owned(), StoredTensor { dtype: Dtype::F64, shape, pieces }));
    }

    fn serialize(&self, known: &Known) -> Result<Vec<u8>, StoreError> {
        let views = self.0.iter().map(|(name, tensor)| (name.as_str(), tensor));
        let choices = serde_json::to_string(&words(known)).expect("strings always have a JSON form");
        Ok(serialize(views, Some([("choices".to_owned(), choices)].into_iter().collect()))?)
    }
}

/// A file being read. Errors name the tensor.
struct File<'a>(SafeTensors<'a>);

impl File<'_> {
    fn has(&self, name: &str) -> bool {
        self.0.tensor(name).is_ok()
    }

    fn words<const N: usize, T>(&self, name: &str, dtype: Dtype, of: fn([u8; N]) -> T) -> Result<Vec<T>, String> {
        let tensor = self.0.tensor(name).map_err(|error| format!("`{name}`: {error}"))?;
        if tensor.dtype() != dtype {
            return Err(format!("`{name}` must be of type {dtype:?}"));
        }
        Ok(tensor.data().as_chunks().0.iter().map(|&bytes| of(bytes)).collect())
    }

    fn u64s(&self, name: &str) -> Result<Vec<u64>, String> {
        self.words(name, Dtype::U64, u64::from_le_bytes)
    }

    fn f64s(&self, name: &str) -> Result<Vec<f64>, String> {
        self.words(name, Dtype::F64, f64::from_le_bytes)
    }

    fn u64(&self, name: &str) -> Result<u64, String> {
        self.u64s(name).and_then(|numbers| of_len(name, numbers, 1)).map(|number| number[0])
    }

    fn f64(&self, name: &str) -> Result<f64, String> {
        self.f64s_of_len(name, 1).map(|number| number[0])
    }

    fn f64s_of_len(&self, name: &str, len: usize) -> Result<Vec<f64>, String> {
        self.f64s(name).and_then(|vector| of_len(name, vector, len))
    }

    fn vector(&self, name: &str, n: usize) -> Result<Option<Vec<f64>>, String> {
        if !self.has(name) {
            return Ok(None);
        }
        let wide = self.f64s(name);
        let values = wide.or_else(|_| self.words(name, Dtype::F32, |bytes| f32::from_le_bytes(bytes).into()));
        values.and_then(|v| of_len(name, v, n)).map(Some)
    }

    fn matrix(&self, name: &str, n: usize) -> Result<Vec<Vec<f64>>, String> {
        let values = self.f64s(name)?;
        match values.len().is_multiple_of(n) {
            true => Ok(values.chunks(n.max(1)).map(<[f64]>::to_vec).collect()),
            false => Err(format!("`{name}` must have rows of {}", counted(n, "number"))),
        }
    }

    fn track(&self, name: &str, n: usize) -> Result<Option<Track>, String> {
        let part = |part: &str| format!("{name}.{part}");
        if !self.has(&part("values")) {
            return Ok(None);
        }
        let track = Track {
            values: self.f64s(&part("values"))?,
            vectors: self.matrix(&part("vectors"), n)?,
            wanted: self.u64(&part("wanted"))? as usize,
            changes: self.matrix(&part("changes"), n)?,
            persistence: self.f64(&part("persistence"))?,
        };
        let Track { values, vectors, wanted, changes, .. } = &track;
        let fits = values.len() == vectors.len()
            && *wanted <= vectors.len()
            && (changes.is_empty() || changes.len() == *wanted);
        if fits { Ok(Some(track)) } else { Err(format!("the tensors `{name}.*` do not fit one another")) }
    }

    fn window(&self, n: usize) -> Result<Option<OscillationWindow>, String> {
        if !self.has("window.first_step") {
            return Ok(None);
        }
        let [lambda, slope, gradient] =
            self.f64s("window.scalars")?.try_into().map_err(|_| "`window.scalars` must have 3 numbers")?;
        let along = self.f64s("window.along")?;
        Ok(Some(OscillationWindow {
            first_step: self.u64("window.first_step")?,
            lambda,
            slope,
            gradient,
            alignment: if self.has("window.alignment") { self.f64("window.alignment")? } else { f64::NAN },
            origin: self.f64s_of_len("window.origin", n)?,
            v1: self.f64s_of_len("window.v1", n)?,
            rise: self.f64s_of_len("window.rise", n)?,
            drift: self.f64s_of_len("window.drift", along.len())?,
            along,
        }))
    }
}

fn of_len<T>(name: &str, vector: Vec<T>, len: usize) -> Result<Vec<T>, String> {
    if vector.len() == len { Ok(vector) } else { Err(format!("`{name}` must have {}", counted(len, "number"))) }
}

/// The bytes of numbers in 32 bits, if that is what they are.
fn narrow(values: &[f64]) -> Option<Vec<u8>> {
    let is_narrow = |&x: &f64| f64::from(x as f32).to_bits() == x.to_bits();
    let bytes = || values.iter().flat_map(|&x| (x as f32).to_le_bytes()).collect();
    values.iter().all(is_narrow).then(bytes)
}
