# Before anything else of this room: timm, torchmetrics and Lightning import torchvision, which this makes importable.
from waymark.learning import torchvision_operators as torchvision_operators
