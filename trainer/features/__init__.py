"""Networks that compute features at each place of a picture, as ONNX files for `generator inspect --features`.

onnx_file    writing and checking such a file
vit_tokens   the patch tokens of a trained ViT
imagenet     EfficientNet-Lite0, trained on ImageNet
"""
