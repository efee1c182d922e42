"""The gauge: measures every pin of a connector in mm, with the uncertainty, in pictures of cameras that are known.

- `network`: finds two points (a pin's tip and foot, or a point on an edge) in a crop, and states how precisely.
- `data`, `picture`, `batches`: pictures with the part's true pose and the pins' true points; crops for training.
- `command`, `options`, `training`, `losses`, `finish`: the training, in the loop of `trainer.core.loop`, and its end.
- `run`, `ties`, `run_page`, `onnx_export`: the files of a run, what ties them to its weights, its page, the ONNX file.
- `finder`, `measuring`, `figures`: the network as `generator.locating` calls it; pins measured; errors of the measures.
- `uncertainty`, `bends`, `coverage`, `likeness`, `gates`: what validation shows of the measures, and training of bends;
  parts and pictures not judged.
- `evaluation`, `dataset_verdicts`, `prediction`: errors in mm; decisions by a tolerance; verdicts on pictures of parts.
- `limits`: the limits in mm by which a run judges.
- `agreement`, `baseline`, `beside`: decisions beside the truth; a simple gauge and a classifier for comparison.
- `evaluation_page`, `evaluation_plots`: page and plots of an evaluation.
- `adapting`, `station_parts`, `station_uncertainty`: adaptation to a station by photographs of good parts.
- `reference`, `reference_file`, `against_reference`, `tip_height`: proof by a reference, such as a measuring machine.
- `reference_pins`, `reference_figures`, `reference_page`: its tables, numbers and page.
"""
