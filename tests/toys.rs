//! The computed data sets against their definitions.

use edgewalk::config::preset;
use edgewalk::data::{self, DataName, Dataset, Options, Request, TargetKind, Targets, TargetsAs, TestSize};

use super::constructors::refused;
use super::objective_cases::real;

fn load(name: DataName, train: usize, test: usize, options: Options) -> Dataset {
    data::load(&Request { train, test: TestSize::First(test), options, ..Request::new(name) }).unwrap()
}

/// T₀ = 1, T₁ = x and T_{k+1} = 2x·T_k − T_{k−1}, which is not how the program computes them.
fn chebyshev(degree: u32, x: f64) -> f64 {
    let (mut last, mut next) = (1.0, x);
    for _ in 0..degree {
        (last, next) = (next, 2.0 * x * next - last);
    }
    last
}

#[test]
fn chebyshev_points_lie_on_their_polynomial() {
    for degree in [0, 1, 4, 9] {
        let Dataset { train, test } = load(DataName::Chebyshev, 0, 7, Options { degree, ..Options::default() });
        let test = test.unwrap();
        assert_eq!((train.len(), test.len(), train.shape()), (20, 7, &[1][..]));
        assert_eq!((real(&train)[0], real(&train)[19]), (-1.0, 1.0));
        assert!((real(&test)[0] + 6.0 / 7.0).abs() < 1e-7, "the middle of the first of seven intervals");
        for set in [&train, &test] {
            let Targets::Numbers { values, width: 1 } = set.targets() else { panic!("{:?}", set.targets().kind()) };
            for (&x, &y) in real(set).iter().zip(values) {
                assert!((f64::from(y) - chebyshev(degree, x.into())).abs() < 1e-6, "T_{degree}({x}) is not {y}");
            }
        }
    }
    assert_eq!(load(DataName::Chebyshev, 1, 0, Options::default()).train.len(), 1);
}

#[test]
fn spirals_are_those_of_lang_and_witbrock() {
    let Dataset { train, test } = load(DataName::Spirals, 0, 192, Options::default());
    let test = test.unwrap();
    assert_eq!((train.len(), train.classes(), train.shape()), (194, 2, &[2][..]));
    let point = |set: &data::Examples, i: usize| [0, 1].map(|axis| f64::from(real(set)[2 * i + axis]));
    for i in 0..97 {
        let (angle, radius) = (i as f64 * std::f64::consts::PI / 16.0, 6.5 * (104 - i) as f64 / 104.0);
        for (side, number) in [(1.0, 2 * i), (-1.0, 2 * i + 1)] {
            let expected = [side * radius * angle.sin() / 6.5, side * radius * angle.cos() / 6.5];
            let found = point(&train, number);
            assert!((0..2).all(|axis| (found[axis] - expected[axis]).abs() < 1e-6), "{number}: {found:?} {expected:?}");
            assert_eq!(train.labels()[number], u32::from(side < 0.0));
        }
    }
    // A test point is about as far from both neighbours of its spiral, and farther from the other spiral.
    let distance = |a: [f64; 2], b: [f64; 2]| (a[0] - b[0]).hypot(a[1] - b[1]);
    for i in 0..192 {
        let nearest = |class: u32| {
            let of_class = (0..194).filter(|&j| train.labels()[j] == class);
            of_class.map(|j| distance(point(&train, j), point(&test, i))).fold(f64::INFINITY, f64::min)
        };
        assert!(nearest(test.labels()[i]) < nearest(1 - test.labels()[i]), "{i}");
    }
    let signs = load(DataName::Spirals, 10, 0, Options { targets: TargetsAs::Signs, ..Options::default() });
    assert_eq!(signs.train.targets().kind(), TargetKind::Signs);
    assert_eq!(load(DataName::Spirals, 1, 0, Options::default()).train.len(), 1);
}

#[test]
fn what_computed_sets_have_no_use_for_is_refused() {
    let request = |name| Request { train: usize::MAX / 2, ..Request::new(name) };
    for name in [DataName::Chebyshev, DataName::Spirals] {
        refused(data::load(&request(name)), &["9223372036854775807"]);
        refused(
            data::load(&Request { path: Some(".".into()), ..request(name) }),
            &["reads no files", "remove data.path"],
        );
        refused(data::load(&Request { test: TestSize::Share(0.5), ..Request::new(name) }), &["0.5"]);
    }
    let config = preset::find("chebyshev").unwrap();
    assert_eq!(config.config.data.degree, 4);
}
