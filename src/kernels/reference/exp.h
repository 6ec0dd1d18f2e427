#pragma once

namespace weir::kernels::reference {

// exp(x) as every variant of the kernels computes it, operation by operation.
//
// x = n ln 2 + r with |r| <= ln 2 / 2; ln 2 is split so that n * high is exact; e^r by Horner's
// rule on its Taylor series to degree 7 (the rest is below 0.3466^8 / 8! = 5.2e-9); 2^n in two
// factors, since 2^128 is no float. Below -87.3365 (where the result would be subnormal) the
// answer is 0, above 88.7228 infinity, NaN stays NaN. The relative error is below 2^-22.
float exp(float x);

}  // namespace weir::kernels::reference
