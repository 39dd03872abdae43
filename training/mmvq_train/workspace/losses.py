"""What the student is asked for beside the labels: the teachers' answers, their similarities, their maps (SYSTEMS 3).

    L = (1 - lambda) CE + lambda sum_m alpha_m distillation_kl(S, T_m) + gamma L_SP + lambda_align alignment
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor

from mmvq_train.workspace.maps import map_distances


def distillation_kl(student_logits: Tensor, teacher_logits: Tensor, temperature: float) -> Tensor:
    """T^2 KL(teacher || student) at temperature T, logits (B, C) each -> scalar, mean over the batch.

    Hinton, Vinyals and Dean 2015, section 2: T^2 keeps the gradient's size when T changes. 'batchmean', as 'mean' would
    divide by the number of classes too.
    """
    student = F.log_softmax(student_logits / temperature, dim=1)
    teacher = F.log_softmax(teacher_logits / temperature, dim=1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True) * temperature**2


def similarity_preserving(a: Tensor, b: Tensor) -> Tensor:
    """Features (B, ...) of two networks, any shapes -> scalar ||G_a - G_b||_F^2 / B^2.

    G = A A^T over the flattened features, every row divided by its length: which windows of the batch are alike
    (Tung and Mori, ICCV 2019, for one pair of layers: the caller adds up the stages).
    """
    return (_similarities(a) - _similarities(b)).square().sum() / len(a) ** 2


def alignment(kts: Tensor, kis: Sequence[Tensor]) -> Tensor:
    """Sum over teachers of MSE(KTS, KIS_m^T), KTS (B, L, K), KIS_m (B, K, L) -> scalar (Hong et al., TNNLS 2025)."""
    return map_distances(kts, kis).sum()


def _similarities(features: Tensor) -> Tensor:
    flat = features.flatten(1)
    return F.normalize(flat @ flat.T, dim=1)
