//! Arrays by name, from an archive of numpy, a folder of its files or a file of safetensors.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use safetensors::tensor::{Dtype, SafeTensors};
use zip::ZipArchive;
use zip::result::ZipError;

use super::array::{Array, ElementType};
use super::{broken, npy, too_large, unreadable};
use crate::data::{DataError, page};
use crate::files::{open_regular, read_regular, shown};
use crate::text::visible;

/// Where arrays are read from.
pub(super) enum Source {
    /// A folder of `.npy` files.
    Folder(PathBuf),
    /// A `.npz` archive.
    Archive { name: String, archive: Box<ZipArchive<BufReader<File>>> },
    /// The bytes of a `.safetensors` file.
    Tensors { name: String, bytes: Vec<u8> },
}

impl Source {
    /// Opens a folder or a file by its extension; `None` for another extension.
    pub fn open(path: &Path) -> Result<Option<Self>, DataError> {
        let name = shown(path);
        if path.is_dir() {
            return Ok(Some(Self::Folder(path.into())));
        }
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("npz") => {
                let file = open_regular(path).map_err(DataError::io(&name))?;
                let archive = ZipArchive::new(BufReader::new(file)).map_err(|error| zip_error(&name, error))?;
                Ok(Some(Self::Archive { name, archive: Box::new(archive) }))
            }
            Some("safetensors") => {
                let bytes = read_regular(path).map_err(DataError::io(&name))?;
                page::refuse(&name, &bytes)?;
                Ok(Some(Self::Tensors { name, bytes }))
            }
            _ => Ok(None),
        }
    }

    /// The array of this name, if it is there, and how errors name it.
    pub fn get(&mut self, array: &str) -> Result<Option<(String, Array)>, DataError> {
        match self {
            Self::Folder(folder) => {
                let path = folder.join(format!("{array}.npy"));
                if !path.exists() {
                    return Ok(None);
                }
                let name = shown(&path);
                let file = open_regular(&path).map_err(DataError::io(&name))?;
                let read = npy::read(&name, BufReader::new(file))?;
                Ok(Some((name, read)))
            }
            Self::Archive { name, archive } => {
                let within = format!("{name} ({array})");
                match archive.by_name(&format!("{array}.npy")) {
                    Ok(member) => npy::read(&within, member).map(|read| Some((within, read))),
                    Err(ZipError::FileNotFound) => Ok(None),
                    Err(error) => Err(zip_error(&within, error)),
                }
            }
            Self::Tensors { name, bytes } => {
                let within = format!("{name} ({array})");
                let file = parsed(name, bytes)?;
                let Ok(tensor) = file.tensor(array) else { return Ok(None) };
                let Some(element) = element(tensor.dtype()) else {
                    let found = format!("the type {:?}", tensor.dtype());
                    return Err(broken(&within, "numbers", &found, "save floats or whole numbers"));
                };
                let numbers = element.read(tensor.data(), false).map_err(|value| too_large(&within, value))?;
                Ok(Some((within, Array { shape: tensor.shape().to_vec(), numbers })))
            }
        }
    }

    /// The names of the arrays that are there, for messages.
    pub fn names(&self) -> Result<String, DataError> {
        const MOST: usize = 20;
        let mut names: Vec<String> = match self {
            Self::Folder(folder) => {
                let entries = folder.read_dir().map_err(DataError::io(&shown(folder)))?;
                entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect()
            }
            Self::Archive { archive, .. } => archive.file_names().flatten().map(|name| visible(&name)).collect(),
            Self::Tensors { name, bytes } => parsed(name, bytes)?.names().into_iter().map(visible).collect(),
        };
        names.sort_unstable();
        let more = if names.len() > MOST { ", …" } else { "" };
        names.truncate(MOST);
        Ok(if names.is_empty() { "nothing".to_owned() } else { names.join(", ") + more })
    }
}

fn parsed<'a>(name: &str, bytes: &'a [u8]) -> Result<SafeTensors<'a>, DataError> {
    SafeTensors::deserialize(bytes).map_err(|error| {
        broken(name, "a safetensors file", &visible(&error.to_string()), "save it again with safetensors")
    })
}

fn zip_error(file: &str, error: ZipError) -> DataError {
    match error {
        ZipError::Io(error) => unreadable(file, error),
        other => {
            let found = visible(&other.to_string());
            broken(file, "an archive of numpy", &found, "save it again with numpy.savez or numpy.savez_compressed")
        }
    }
}

fn element(dtype: Dtype) -> Option<ElementType> {
    Some(match dtype {
        Dtype::F16 => ElementType::F16,
        Dtype::BF16 => ElementType::Bf16,
        Dtype::F32 => ElementType::F32,
        Dtype::F64 => ElementType::F64,
        Dtype::BOOL => ElementType::Bool,
        Dtype::I8 => ElementType::I8,
        Dtype::I16 => ElementType::I16,
        Dtype::I32 => ElementType::I32,
        Dtype::I64 => ElementType::I64,
        Dtype::U8 => ElementType::U8,
        Dtype::U16 => ElementType::U16,
        Dtype::U32 => ElementType::U32,
        Dtype::U64 => ElementType::U64,
        _ => return None,
    })
}
