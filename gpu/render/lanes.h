/* lanes.h - what maths that CPU and CUDA share is written in, so that both make the same bytes.
 *
 * Functions marked GPU_LANE in headers of this folder take and give vf, vi and vm (cpu/simd.h).
 * The CPU compiles them once a vector width, CUDA with a single lane (cuda/lanes.h). They have to
 * be C11 and C++17 at once: no designated initialisers, no compound literals, no arrays of variable
 * length, no implicit conversion from void *; masks by vm_and, vm_or, vm_not, comparisons by
 * vf_less and its kin, bits by vi_bits and vf_bits, a lane's number by vf_lane. Nothing of libm but
 * vf_sqrt: its other functions differ from library to library.
 *
 * The order of operations is part of the contract: nothing is fused, and what one lane gets must
 * not depend on the others. A branch on vm_any is fine where skipping changes no lane's result. */
#ifndef STANCE_GPU_LANES_H
#define STANCE_GPU_LANES_H

#ifdef __CUDACC__
#include "../cuda/lanes.h"
#else
#include "../cpu/simd.h"
#define GPU_LANE static inline
#endif

#endif
