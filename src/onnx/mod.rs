//! Networks from ONNX files: the forward graph of a file becomes nodes of our graph, and its arrays of floats become
//! parameters. `proto` and `array` read the file; `import` goes through its nodes (`call`), with the operators in
//! `elementwise`, `axes`, `parts`, `positions`, `layers`, `einsum` and `pooling`; `fold` computes values that do not depend on the examples, such
//! as shapes, and `sample` the outputs for given inputs. Declared shapes of values are not used. See <https://onnx.ai/onnx/operators/>.

mod array;
mod axes;
mod call;
mod einsum;
mod elementwise;
mod error;
mod fold;
mod import;
mod layers;
mod parts;
mod pooling;
mod positions;
mod proto;
mod sample;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use prost::Message;

use crate::files::{read_regular, sha256};
use crate::graph::{Graph, NodeId};
use crate::text::{counted, visible};
use array::{Array, Elements, Kind};
use call::Value;
use proto::{Node, is_standard};

pub use error::OnnxError;

/// An array with a name: a parameter, or a constant.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedArray {
    /// The name in the file.
    pub name: String,
    /// The size of each axis.
    pub shape: Vec<usize>,
    /// The elements in row-major order.
    pub values: Vec<f64>,
}

/// The examples that a network reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input {
    /// The name in the file.
    pub name: String,
    /// The size of each axis of an example; `None` where the file leaves it open.
    pub shape: Vec<Option<usize>>,
    /// Whether its elements are whole numbers.
    pub tokens: bool,
}

/// A network from a file. See the module text.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Operands before their users.
    nodes: Vec<Node>,
    /// Arrays that are no parameters; those on the device with their place among `constants`.
    known: HashMap<String, (Arc<Array>, Option<usize>)>,
    params: Vec<NamedArray>,
    constants: Vec<NamedArray>,
    input: Input,
    output: String,
    opset: i64,
    producer: String,
    sha256: String,
}

/// Versions of the operators that are read.
const OPSETS: std::ops::RangeInclusive<i64> = 7..=25;

impl Network {
    /// Reads a file. Arrays whose names match one of the patterns `freeze`, where `*` stands for any characters, are
    /// constants.
    ///
    /// # Errors
    /// [`OnnxError`]; operators that are not read are all named.
    pub fn read(path: &Path, freeze: &[String]) -> Result<Self, OnnxError> {
        let bytes = read_regular(path).map_err(|cause| OnnxError::Read { path: path.into(), cause })?;
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Self::of_bytes(&bytes, Some(folder), freeze)
    }

    /// The same from the bytes of a file, with the folder of its external data.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn of_bytes(bytes: &[u8], folder: Option<&Path>, freeze: &[String]) -> Result<Self, OnnxError> {
        let model = proto::Model::decode(bytes).map_err(|error| OnnxError::Format(visible(&error.to_string())))?;
        let graph = model.graph.ok_or_else(|| OnnxError::Format("it has no graph".to_owned()))?;
        let opset = model.opsets.iter().find(|set| is_standard(&set.domain));
        let opset = opset.map_or(1, |set| set.version);
        let outputs: Vec<&str> = graph.outputs.iter().map(|output| output.name.as_str()).collect();
        let mut arrays: HashMap<String, Array> = HashMap::new();
        let (mut order, mut outside) = (vec![], vec![]);
        for tensor in &graph.initializers {
            let array = array::read(tensor, folder)?;
            if tensor.location != 0 {
                outside.push(array.elements.numbers());
            }
            order.push(tensor.name.clone());
            arrays.insert(tensor.name.clone(), array);
        }
        let nodes = sorted(graph.nodes, &outputs, &arrays)?;
        let Sound { input, output } = checked(&graph.inputs, &outputs, &nodes, &arrays, opset)?;
        let nodes = without_copies(nodes, &mut arrays, &mut order);
        let mut network = Self {
            nodes: vec![],
            known: HashMap::new(),
            params: vec![],
            constants: vec![],
            input,
            output,
            opset,
            producer: visible(&format!("{} {}", model.producer, model.producer_version)),
            sha256: sha256(std::iter::once(bytes).chain(outside.iter().map(|it| bytemuck::cast_slice(it)))),
        };
        let learned = learned(&nodes);
        for name in order {
            let Some(array) = arrays.remove(&name) else { continue };
            let is_float = matches!(array.elements, Elements::Real(_)) && !array.shape.is_empty();
            let is_param = is_float && learned.contains(name.as_str()) && !freeze.iter().any(|it| matches(it, &name));
            if is_param && array.elements.len() > 0 {
                let values = array.elements.numbers();
                network.params.push(NamedArray { name, shape: array.shape, values });
            } else {
                network.add_known(name, array);
            }
        }
        for node in nodes {
            match (node.op.as_str(), node.value(), node.outputs.first()) {
                ("Constant", Some(tensor), Some(name)) => {
                    let array = array::read(tensor, folder)?;
                    network.add_known(name.clone(), array);
                }
                _ => network.nodes.push(node),
            }
        }
        Ok(network)
    }

    /// Adds an array that is no parameter. Those of several numbers get a place among the constants of the device.
    fn add_known(&mut self, name: String, array: Array) {
        let is_whole = matches!(array.elements, Elements::Whole(_));
        let needs_place = !is_whole && array.uniform().is_none() && array.elements.len() > 0;
        let place = needs_place.then_some(self.constants.len());
        if needs_place {
            let values = array.elements.numbers().into_iter().map(call::finite).collect();
            self.constants.push(NamedArray { name: name.clone(), shape: array.shape.clone(), values });
        }
        self.known.insert(name, (Arc::new(array), place));
    }

    /// The parameters, in the order of the file.
    pub fn params(&self) -> &[NamedArray] {
        &self.params
    }

    /// Arrays that training leaves alone.
    pub fn constants(&self) -> &[NamedArray] {
        &self.constants
    }

    /// The examples that it reads.
    pub fn input(&self) -> &Input {
        &self.input
    }

    /// The version of its operators.
    pub fn opset(&self) -> i64 {
        self.opset
    }

    /// The program that wrote it.
    pub fn producer(&self) -> &str {
        &self.producer
    }

    /// SHA-256 of the file, followed by the numbers (f64, little-endian) of arrays that lie in other files.
    pub fn sha256(&self) -> &str {
        &self.sha256
    }

    /// The operators with the number of their nodes.
    pub fn ops(&self) -> BTreeMap<&str, usize> {
        let mut ops = BTreeMap::new();
        self.nodes.iter().for_each(|node| *ops.entry(node.op.as_str()).or_default() += 1);
        ops
    }

    /// Adds the forward pass: one node for each parameter, then one for each constant, and the examples `[n, …]`.
    ///
    /// # Errors
    /// [`OnnxError::Node`] for a node that does not fit its operands.
    pub fn forward(&self, g: &mut Graph, given: &[NodeId], x: NodeId) -> Result<NodeId, OnnxError> {
        if given.len() != self.params.len() + self.constants.len() {
            return Err(OnnxError::Shape(format!("it takes {} arrays", self.params.len() + self.constants.len())));
        }
        let (params, constants) = given.split_at(self.params.len());
        let mut values: HashMap<&str, Value> = HashMap::new();
        for (name, (array, place)) in &self.known {
            let node = place.map(|place| constants[place]);
            values.insert(name, Value::Known(Arc::clone(array), node));
        }
        for (param, &id) in self.params.iter().zip(params) {
            values.insert(&param.name, Value::Node(id));
        }
        values.insert(&self.input.name, if self.input.tokens { Value::Tokens(x) } else { Value::Node(x) });
        import::run(g, self.nodes.iter(), values, self.opset, &self.output)
    }
}

/// The input and the output of a network that can be read.
struct Sound {
    input: Input,
    output: String,
}

/// Refuses what is not read: other operators, another version of them, and other than one input and one output. The
/// error names all of it.
fn checked(
    inputs: &[proto::ValueInfo],
    outputs: &[&str],
    nodes: &[Node],
    arrays: &HashMap<String, Array>,
    opset: i64,
) -> Result<Sound, OnnxError> {
    let mut faults = vec![];
    faults.extend(unsupported(nodes).err());
    if !OPSETS.contains(&opset) {
        faults.push(OnnxError::Opset(opset));
    }
    let input = input(inputs, nodes, arrays).map_err(|fault| faults.push(fault)).ok();
    match (outputs, input) {
        (&[output], Some(input)) if faults.is_empty() => return Ok(Sound { input, output: output.to_owned() }),
        (&[_], _) => {}
        _ => {
            let names: Vec<String> = outputs.iter().map(|name| visible(name)).collect();
            let many = counted(outputs.len(), "output");
            faults.push(OnnxError::Shape(format!("it has {many} ({})", names.join(", "))));
        }
    }
    match faults.pop() {
        Some(fault) if faults.is_empty() => Err(fault),
        last => Err(OnnxError::Several(
            faults.iter().chain(&last).map(OnnxError::to_string).collect::<Vec<_>>().join("; moreover, "),
        )),
    }
}

/// The nodes that the outputs depend on, operands before users.
fn sorted(nodes: Vec<Node>, outputs: &[&str], arrays: &HashMap<String, Array>) -> Result<Vec<Node>, OnnxError> {
    let mut makers: HashMap<&str, usize> = HashMap::new();
    for (number, node) in nodes.iter().enumerate() {
        for name in node.outputs.iter().filter(|name| !name.is_empty()) {
            makers.insert(name, number);
        }
    }
    #[derive(Clone, Copy, PartialEq)]
    enum Mark {
        New,
        Begun,
        Done,
    }
    let mut marks = vec![Mark::New; nodes.len()];
    let mut order = vec![];
    // Depth first, without recursion; a node comes a second time after its operands.
    let mut stack: Vec<usize> = outputs.iter().filter_map(|output| makers.get(output).copied()).collect();
    while let Some(&number) = stack.last() {
        match marks[number] {
            Mark::New => {
                marks[number] = Mark::Begun;
                for name in &nodes[number].inputs {
                    let Some(&maker) = makers.get(name.as_str()).filter(|_| !arrays.contains_key(name)) else {
                        continue;
                    };
                    match marks[maker] {
                        Mark::New => stack.push(maker),
                        Mark::Begun => return Err(OnnxError::Circle(format!("`{}`", visible(nodes[maker].shown())))),
                        Mark::Done => {}
                    }
                }
            }
            Mark::Begun => {
                marks[number] = Mark::Done;
                order.push(number);
                stack.pop();
            }
            Mark::Done => {
                stack.pop();
            }
        }
    }
    let mut nodes: Vec<Option<Node>> = nodes.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|number| nodes[number].take()).collect())
}

/// Refuses operators that are not read: all of them, with their numbers and the first place of each.
fn unsupported(nodes: &[Node]) -> Result<(), OnnxError> {
    let mut unknown: BTreeMap<String, (usize, &Node)> = BTreeMap::new();
    for node in nodes.iter().filter(|node| !import::is_read(node)) {
        let domain = if is_standard(&node.domain) { String::new() } else { format!("{}.", node.domain) };
        unknown.entry(visible(&format!("{domain}{}", node.op))).or_insert((0, node)).0 += 1;
    }
    if unknown.is_empty() {
        return Ok(());
    }
    const MOST: usize = 40;
    let each = |(op, (count, node)): (&String, &(usize, &Node))| {
        format!("{op} ({}, first at `{}`)", counted(*count, "node"), visible(node.shown()))
    };
    let list: Vec<String> = unknown.iter().take(MOST).map(each).collect();
    let more = unknown.len().saturating_sub(MOST);
    let more = if more > 0 { format!(" and {}", counted(more, "other")) } else { String::new() };
    Err(OnnxError::Unsupported(format!(
        "it uses operators that are not read: {}{more}; docs/own-network.md lists those that are",
        list.join(", ")
    )))
}

/// The one input that is no array and that a node reads.
fn input(inputs: &[proto::ValueInfo], nodes: &[Node], arrays: &HashMap<String, Array>) -> Result<Input, OnnxError> {
    let is_read = |name: &str| nodes.iter().any(|node| node.inputs.iter().any(|input| input == name));
    let open: Vec<_> = inputs.iter().filter(|it| !arrays.contains_key(&it.name) && is_read(&it.name)).collect();
    let [found] = open[..] else {
        let names: Vec<String> = open.iter().map(|it| visible(&it.name)).collect();
        let many = counted(open.len(), "input");
        return Err(OnnxError::Shape(format!("it has {many} that the output depends on ({})", names.join(", "))));
    };
    let tensor = found.ty.as_ref().and_then(|ty| ty.tensor.as_ref());
    let tensor = tensor.ok_or_else(|| OnnxError::Shape("its input is no array".to_owned()))?;
    let tokens = match Kind::of(tensor.element.into()) {
        Some(Kind::Real) => false,
        Some(Kind::Whole) => true,
        Some(Kind::Flags) | None => {
            return Err(OnnxError::Shape(format!("its input has elements of the type {}", tensor.element)));
        }
    };
    let dims = tensor.shape.as_ref().map_or(&[][..], |shape| &shape.dims);
    let size = |dim: &proto::Dim| usize::try_from(dim.value).ok().filter(|&size| size > 0);
    Ok(Input { name: found.name.clone(), shape: dims.iter().skip(1).map(size).collect(), tokens })
}

/// Gives every copy of an array its own values. PyTorch writes parameters that are equal at the export as copies of
/// one; parameters that are shared on purpose have one name.
fn without_copies(nodes: Vec<Node>, arrays: &mut HashMap<String, Array>, order: &mut Vec<String>) -> Vec<Node> {
    let mut kept = vec![];
    for node in nodes {
        match (node.op.as_str(), &node.inputs[..], &node.outputs[..]) {
            ("Identity", [from], [to]) if arrays.contains_key(from) => {
                let copy = arrays[from].clone();
                arrays.insert(to.clone(), copy);
                order.push(to.clone());
            }
            _ => kept.push(node),
        }
    }
    kept
}

/// The names of values that a derivative reaches, if they are arrays of floats.
fn learned(nodes: &[Node]) -> HashSet<&str> {
    let is_learned = |op: &str, at: usize| match op {
        // Statistics.
        "BatchNormalization" => at < 3,
        // Limits, shapes and choices.
        "Clip" | "CumSum" | "Dropout" | "Expand" | "Gather" | "Pad" | "Pow" | "Reshape" | "Resize" | "Slice"
        | "Split" | "Squeeze" | "Tile" | "Unsqueeze" | "Upsample" => at == 0,
        _ if op.starts_with("Reduce") => at == 0,
        "Shape" | "Size" | "Equal" | "Less" | "Greater" | "LessOrEqual" | "GreaterOrEqual" | "ConstantOfShape"
        | "Range" => false,
        "Where" => at > 0,
        _ => true,
    };
    let operands = nodes.iter().flat_map(|node| node.inputs.iter().enumerate().map(move |(at, name)| (node, at, name)));
    operands.filter(|(node, at, _)| is_learned(&node.op, *at)).map(|(_, _, name)| name.as_str()).collect()
}

/// Whether a name fits a pattern, in which `*` stands for any characters.
fn matches(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or("");
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}
