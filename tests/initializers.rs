//! Initial values by name: their variances, ranges and independence of other layers.

use std::sync::Arc;

use edgewalk::model::{
    Activation, Cnn, Initialized, Initializer, Layout, Mlp, Model, Norm, Readout, Vit, initial_params,
};

/// The values of every tensor, by name.
fn tensors(model: impl Model + 'static, initializer: Initializer, seed: u64) -> Vec<(String, Vec<f64>)> {
    let model = Initialized { model: Arc::new(model), initializer };
    let layout = Layout::of(&model).unwrap();
    let params = initial_params(&layout, seed);
    assert_eq!(params.len(), layout.len());
    let values = |offset: usize, len: usize| params[offset..][..len].iter().map(|&x| f64::from(x)).collect();
    layout.iter().map(|(param, offset)| (param.name.clone(), values(offset, param.shape.iter().product()))).collect()
}

fn variance(values: &[f64]) -> f64 {
    values.iter().map(|x| x * x).sum::<f64>() / values.len() as f64
}

fn largest(values: &[f64]) -> f64 {
    values.iter().fold(0.0, |most, x| most.max(x.abs()))
}

/// 60,000 numbers have their variance to 1 % or so; a normal variable's largest is some 4.3 deviations, a truncated one's
/// 2 of before, which are 2/0.88 of after, and a uniform one's √3.
#[test]
fn kernels_have_the_variance_and_the_range_of_their_name() {
    use Initializer::*;
    let mlp = Mlp { inputs: 200, width: 300, depth: 2, outputs: 10, activation: Activation::Relu };
    let (glorot, he, lecun) = (2.0 / 500.0, 2.0 / 200.0, 1.0 / 200.0);
    let (normal, truncated, uniform) = (3.8..5.5, 2.2..2.2740, 1.7..1.7321);
    for (initializer, expected, range) in [
        (Usual, glorot, truncated.clone()),
        (GlorotNormal, glorot, normal.clone()),
        (GlorotTruncated, glorot, truncated.clone()),
        (GlorotUniform, glorot, uniform.clone()),
        (HeNormal, he, normal.clone()),
        (HeTruncated, he, truncated.clone()),
        (HeUniform, he, uniform.clone()),
        (LecunNormal, lecun, normal),
        (LecunTruncated, lecun, truncated),
        (LecunUniform, lecun, uniform.clone()),
        // U(±1/√fan_in) has the variance 1/(3·fan_in).
        (Pytorch, lecun / 3.0, uniform),
    ] {
        let all = tensors(mlp.clone(), initializer, 3);
        let (name, kernel) = &all[0];
        assert_eq!((name.as_str(), kernel.len()), ("dense0.kernel", 60_000));
        let found = variance(kernel);
        assert!((found / expected - 1.0).abs() < 0.025, "{initializer}: {found} {expected}");
        let deviations = largest(kernel) / expected.sqrt();
        assert!(range.contains(&deviations), "{initializer}: {deviations}");
        let bias = largest(&all[1].1);
        let limit = 200_f64.sqrt().recip();
        let allowed = if initializer == Pytorch { 0.9 * limit..limit } else { 0.0..f64::MIN_POSITIVE };
        assert!(allowed.contains(&bias), "{initializer}: bias {bias}");
        assert_ne!(kernel, &tensors(mlp.clone(), initializer, 4)[0].1, "{initializer}: another seed");
    }
}

#[test]
fn the_positions_of_a_convolution_count_in_its_fans() {
    let cnn = Cnn { norm: Norm::Layer, ..Cnn::paper([8, 8, 16], 64, 10) };
    let all = tensors(cnn, Initializer::HeNormal, 1);
    let found = variance(&all[0].1);
    assert!((found * 144.0 / 2.0 - 1.0).abs() < 0.05, "{found}");
    assert!(all.iter().filter(|(name, _)| name.ends_with("scale")).all(|(_, scale)| scale.iter().all(|&x| x == 1.0)));
}

/// Embeddings and normalisations have no fans.
#[test]
fn embeddings_keep_their_usual_values() {
    let vit = Vit {
        image: [8, 8, 3],
        patch_size: 4,
        layers: 1,
        heads: 2,
        key_size: 4,
        model_size: 8,
        readout: Readout::Class,
        outputs: 10,
    };
    let [usual, uniform] = [Initializer::Usual, Initializer::LecunUniform].map(|it| tensors(vit.clone(), it, 5));
    for ((name, a), (_, b)) in usual.iter().zip(&uniform) {
        assert_eq!(a == b, !name.ends_with(".kernel"), "{name}");
    }
}
