//! From a drawn scene to the bytes of a file.

use kuva::backend::svg::SvgBackend;
use kuva::render::render::Scene;
use kuva::{PdfBackend, PngBackend};

use crate::results::Format;

/// The bytes of a file that shows a scene.
pub(crate) fn encode(scene: &Scene, format: Format) -> Result<Vec<u8>, String> {
    match format {
        Format::Svg => {
            // Without a view box, a page that shows the picture smaller would crop it.
            let view = format!("<svg viewBox=\"0 0 {} {}\" ", scene.width, scene.height);
            Ok(SvgBackend::new().render_scene(scene).replacen("<svg ", &view, 1).into_bytes())
        }
        Format::Png => PngBackend::new().with_scale(2.0).render_scene(scene),
        Format::Pdf => PdfBackend::new().render_scene(scene),
    }
}
