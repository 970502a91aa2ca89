//! A network of one's own, a residual MLP with layer normalisation: its Hessian and Gauss–Newton eigenvalues.
//!
//!     cargo run --release --example custom_model
//!
//! A model is two functions: its parameters by name, and a forward pass in graph ops. Gradients and curvature products
//! of every order follow from the ops; nothing else has to be written.

use std::error::Error;
use std::sync::Arc;

use edgewalk::curvature::{EigenOptions, lanczos};
use edgewalk::data::{self, DataName, Request};
use edgewalk::device::Device;
use edgewalk::graph::{Graph, NodeId, Unary};
use edgewalk::model::layers::dense;
use edgewalk::model::{Activation, Init, Loss, Model, ModelError, Param, initial_params};
use edgewalk::objective::{GaussNewtonOperator, HessianOperator, Objective};

/// h = x·W; then `blocks` times h ← h + relu(norm(h)·W + b); then h·W + b.
struct ResidualMlp {
    inputs: usize,
    width: usize,
    blocks: usize,
    outputs: usize,
}

fn matrix(name: String, fan_in: usize, fan_out: usize) -> Param {
    Param { name, shape: vec![fan_in, fan_out], init: Init::GlorotNormal { fan_in, fan_out } }
}

fn bias(name: String, len: usize) -> Param {
    Param { name, shape: vec![len], init: Init::Zeros }
}

impl Model for ResidualMlp {
    fn params(&self) -> Result<Vec<Param>, ModelError> {
        let mut params = vec![matrix("embed.kernel".into(), self.inputs, self.width)];
        for i in 0..self.blocks {
            params.push(matrix(format!("block{i}.kernel"), self.width, self.width));
            params.push(bias(format!("block{i}.bias"), self.width));
        }
        params.push(matrix("output.kernel".into(), self.width, self.outputs));
        params.push(bias("output.bias".into(), self.outputs));
        Ok(params)
    }

    fn forward(&self, g: &mut Graph, params: &[NodeId], x: NodeId) -> NodeId {
        // The nodes come in the order of `params`: one matrix, then pairs of matrix and bias.
        let mut h = g.matmul(x, params[0]);
        let (blocks, output) = params[1..].split_at(2 * self.blocks);
        for block in blocks.chunks_exact(2) {
            let normed = layer_norm(g, h);
            let inner = dense(g, normed, block[0], block[1]);
            let branch = Activation::Relu.apply(g, inner);
            h = g.add(h, branch);
        }
        dense(g, h, output[0], output[1])
    }
}

/// (x − mean)/√(variance + ε) over the features of each example.
fn layer_norm(g: &mut Graph, x: NodeId) -> NodeId {
    let shape = g.shape(x).to_vec();
    let mean_of = |g: &mut Graph, x: NodeId| {
        let sum = g.reduce_sum(x, &[1]);
        let mean = g.scale(sum, 1.0 / shape[1] as f32);
        g.broadcast(mean, &shape, &[0])
    };
    let mean = mean_of(g, x);
    let centred = g.sub(x, mean);
    let square = g.mul(centred, centred);
    let variance = mean_of(g, square);
    let variance = g.offset(variance, 1e-5);
    let scale = g.unary(Unary::Rsqrt, variance);
    g.mul(centred, scale)
}

fn main() -> Result<(), Box<dyn Error>> {
    let device = Device::open(None)?;
    let data = data::load(&Request { train: 500, ..Request::new(DataName::Embedded) })?.train;
    let model = Arc::new(ResidualMlp { inputs: data.dim(), width: 32, blocks: 2, outputs: data.classes() });
    let mut objective = Objective::new(&device, model, Loss::CrossEntropy, &data, 0)?;
    let w = objective.vector("the parameters")?;
    objective.set_params(&w, &initial_params(objective.layout(), 0))?;

    let options = EigenOptions { top: 3, ..EigenOptions::default() };
    let hessian = lanczos(&mut HessianOperator::new(&mut objective, &w)?.linearise()?, None, &options)?.pairs;
    let gauss_newton = lanczos(&mut GaussNewtonOperator::new(&mut objective, &w)?.linearise()?, None, &options)?.pairs;
    for (h, g) in hessian.iter().zip(&gauss_newton) {
        println!("Hessian {:9.5} ± {:.0e}   Gauss–Newton {:9.5} ± {:.0e}", h.value, h.residual, g.value, g.residual);
    }
    Ok(())
}
