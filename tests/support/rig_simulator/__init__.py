"""A physically based simulator of the capture rig: the instrument that the rig's builder is measured with.

It uses NumPy alone and nothing of mddnet, so that an error of ours cannot cancel itself. What it models and the builder
does not: the projector's gamma, defocus, pixels, flicker and uneven columns; shadows, shading and light that bounces
off the scene; blur of the camera at minimum aperture; occlusion at the rims of blurred things; vignetting and the loss
of light with the sensor distance; aberration blur; noise, 8 bits, and errors of the sensor positions read.
"""
