//! From a drawn scene to the bytes of a file.

use kuva::backend::svg::SvgBackend;
use kuva::render::render::Scene;
use kuva::{PageSize, PdfBackend, PngBackend};

use super::dashes::in_pieces;
use crate::results::Format;
use crate::results::look::PIXELS;

/// The bytes of a file that shows a scene, in PNG with `density` dots a pixel.
pub(crate) fn encode(mut scene: Scene, format: Format, density: f64) -> Result<Vec<u8>, String> {
    match format {
        Format::Svg => {
            // Without a view box, a page that shows the picture smaller would crop it.
            let view = format!("<svg viewBox=\"0 0 {} {}\" ", scene.width, scene.height);
            Ok(SvgBackend::new().render_scene(&scene).replacen("<svg ", &view, 1).into_bytes())
        }
        Format::Png => {
            scene.elements = in_pieces(scene.elements);
            PngBackend::new().with_scale(density as f32).render_scene(&scene).map_err(|message| advised(&message))
        }
        Format::Pdf => {
            let page = PageSize::inches(scene.width / PIXELS, scene.height / PIXELS);
            PdfBackend::new().with_page_size(page).render_scenes(&[scene]).map_err(|message| advised(&message))
        }
    }
}

fn advised(message: &str) -> String {
    format!("{message}; try another --format")
}
