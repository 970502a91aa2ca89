//! Tests of what not every machine has: full data sets, TensorBoard, compilers of shaders. Each is listed, and ignored by name where an
//! environment variable does not say when the tests run that it is there. With `-- --ignored` they are tried all the same.
//!
//! A binary of its own: the standard harness decides when it is compiled, so that a variable would compile everything anew.

#[expect(dead_code, reason = "the other binary's tests need more of it")]
#[path = "../oracle.rs"]
mod oracle;
#[expect(dead_code, reason = "the other binary's tests need more of it")]
#[path = "../program.rs"]
mod program;
#[path = "../whole_runs.rs"]
mod whole_runs;

mod error_bars;
mod golden;
mod notebook;
mod real_data;
mod run_kernels;
mod tensorboard;
mod translations;

use libtest_mimic::{Arguments, Trial};

/// What a test needs.
#[derive(Clone, Copy)]
enum Need {
    Nothing,
    /// What the value of this variable says is there.
    Variable(&'static str),
    /// Somebody who asks for it.
    Minutes,
}

const TESTS: [(Need, &str, fn()); 21] = [
    (Need::Nothing, "error_bars::few_networks_with_layer_normalisation_are_covered", error_bars::few),
    (DATA, "error_bars::the_cases_on_cifar10_are_covered", error_bars::cases),
    (Need::Minutes, "error_bars::of_a_thousand_99_in_100_are_covered", error_bars::thousand),
    (DATA, "golden::an_mlp_on_mnist_follows_the_reference", golden::mlp_on_mnist),
    (DATA, "golden::a_cnn_on_cifar10_follows_the_reference", golden::cnn_on_cifar10),
    (DATA, "golden::a_resnet_on_cifar10_follows_the_reference", golden::resnet_on_cifar10),
    (DATA, "golden::vgg_on_cifar10_follows_the_reference", golden::vgg_on_cifar10),
    (DATA, "golden::a_vit_on_cifar10_follows_the_reference", golden::vit_on_cifar10),
    (DATA, "golden::a_transformer_on_shakespeare_follows_the_reference", golden::transformer_on_shakespeare),
    (DATA, "data::the_embedded_subset_equals_the_full_files", real_data::embedded_subset),
    (DATA, "data::the_full_files_are_mnist", real_data::mnist),
    (DATA, "data_cifar::the_full_files_are_cifar10", real_data::cifar10),
    (DATA, "data_text::the_full_text_is_tiny_shakespeare", real_data::shakespeare),
    (DATA, "fetch_set::the_catalogue_agrees_with_the_real_files", real_data::catalogue),
    (DATA, "cli_data::a_data_set_that_is_there_is_checked_without_a_network", real_data::no_network),
    (PANDAS, "notebook::the_code_of_the_page_reads_and_draws_a_run", notebook::code_of_the_page),
    (TENSORBOARD, "live::tensorboard_reads_the_numbers_of_the_tables", tensorboard::reads_the_tables),
    (Need::Nothing, "translations::every_kernel_of_the_three_tasks_can_be_said_in_every_language", translations::small),
    (COMPILERS, "translations::compilers_take_what_is_said", translations::compilers),
    (DXC, "translations::microsofts_compiler_takes_every_kernel", translations::dxc),
    (Need::Minutes, "translations::every_kernel_of_the_papers_sizes_can_be_said", translations::papers_sizes),
];

const DATA: Need = Need::Variable("EDGEWALK_DATA");
const PANDAS: Need = Need::Variable("EDGEWALK_PANDAS_PYTHON");
const TENSORBOARD: Need = Need::Variable("EDGEWALK_TENSORBOARD_PYTHON");
const COMPILERS: Need = Need::Variable("EDGEWALK_SHADER_COMPILERS");
const DXC: Need = Need::Variable("EDGEWALK_DXC_PYTHON");

fn main() {
    let trials = TESTS.map(|(need, name, test)| {
        let trial = Trial::test(name, move || {
            test();
            Ok(())
        });
        // What is missing stands before the name of a test that is ignored.
        match need {
            Need::Nothing => trial,
            Need::Variable(variable) if std::env::var_os(variable).is_some() => trial,
            Need::Variable(variable) => trial.with_kind(format!("needs {variable}")).with_ignored_flag(true),
            Need::Minutes => trial.with_kind("takes many minutes").with_ignored_flag(true),
        }
    });
    libtest_mimic::run(&Arguments::from_args(), trials.into()).exit();
}
