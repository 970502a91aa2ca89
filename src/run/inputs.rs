//! The inputs of a run: the data, the device and the model.

use std::borrow::Cow;
use std::sync::Arc;

use super::batches::BatchLoader;
use super::initial::network_file;
use super::own::OwnTask;
use super::setup::RunSetup;
use super::{RunError, memory_check};
use crate::config::{Config, MeasuringSet, Until, build};
use crate::data::{self, DataError, Dataset, Examples};
use crate::device::{Device, DeviceError};
use crate::files::sha256;
use crate::folder::data_record::DataRecord;
use crate::folder::manifest::InitFile;
use crate::model::{Layout, Loss, Model};
use crate::onnx::Network;

/// The device that is named, in the precision of a configuration.
pub(crate) fn open(config: &Config, adapter: Option<&str>) -> Result<Device, DeviceError> {
    Device::open_with(adapter, config.run.precision)
}

/// See the module text.
pub(crate) struct Inputs {
    pub data: Arc<Dataset>,
    pub device: Device,
    network: Option<Arc<Network>>,
    model: Arc<dyn Model>,
    loss: Loss,
    /// Whether a program brought them.
    own: bool,
}

impl Inputs {
    /// Loads the data, unless a program brings a task, and opens the adapter.
    pub fn of(config: &Config, adapter: Option<&str>, own: Option<&OwnTask>) -> Result<Self, RunError> {
        let Some(OwnTask { model, loss, data }) = own.cloned() else {
            let network = build::network(config)?;
            let data = Self::data(config, network.as_deref())?;
            return Self::on(open(config, adapter)?, network, Arc::new(data), config);
        };
        Until::check(config.run.until, loss)?;
        Layout::of(&*model)?;
        Ok(Self { data, device: open(config, adapter)?, network: None, model, loss, own: true })
    }

    /// Loads the data alone.
    pub fn data(config: &Config, network: Option<&Network>) -> Result<Dataset, DataError> {
        data::load(&build::request(config, network))
    }

    /// The same with existing data, network and adapter.
    pub fn on(
        device: Device,
        network: Option<Arc<Network>>,
        data: Arc<Dataset>,
        config: &Config,
    ) -> Result<Self, RunError> {
        let (model, loss) = (build::model(config, network.as_ref(), &data.train)?, build::loss(config));
        Until::check(config.run.until, loss)?;
        Ok(Self { data, device, network, model, loss, own: false })
    }

    /// The file of the network, if it comes from one.
    pub fn network_file(&self, config: &Config) -> Option<InitFile> {
        network_file(config, self.network.as_deref())
    }

    /// The minibatches, if any, and the examples of the first update.
    pub fn batches(&self, config: &Config) -> Result<(Option<BatchLoader<'_>>, Cow<'_, Examples>), RunError> {
        let mut batches = BatchLoader::new(config, &self.data.train)?;
        let first = match &mut batches {
            Some(batches) => Cow::Owned(batches.batch(0)?),
            None => Cow::Borrowed(&self.data.train),
        };
        Ok((batches, first))
    }

    /// The parts for the setup of a run.
    pub fn setup<'a>(&'a self, config: &'a Config, first: &'a Examples) -> RunSetup<'a> {
        let measured = config.measure.is_on().then(|| MeasuringSet::of(config, self.data.train.len()));
        let most_kept = memory_check::most_kept(config, &self.device);
        RunSetup {
            config,
            model: Arc::clone(&self.model),
            loss: self.loss,
            data: &self.data,
            first,
            measured,
            most_kept,
        }
    }

    /// The data's identity in the manifest.
    pub fn record(&self, config: &Config) -> DataRecord {
        record(if self.own { DataRecord::OWN } else { config.data.name.word() }, &self.data)
    }
}

/// The identity of a data set of this name.
pub(crate) fn record(name: &str, Dataset { train, test }: &Dataset) -> DataRecord {
    let sets = || std::iter::once(train).chain(test);
    let bytes = sets().flat_map(|examples| [examples.features().as_bytes(), examples.targets().as_bytes()]);
    DataRecord {
        name: name.to_owned(),
        train: train.len(),
        test: test.as_ref().map_or(0, Examples::len),
        sha256: sha256(bytes),
    }
}
