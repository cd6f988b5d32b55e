/* any.h - marks functions over single numbers that CPU and CUDA share: C11 and C++17 at once, of
 * exact integers and IEEE's operations alone, so that both get the same bits. What works on vectors
 * has GPU_LANE instead (lanes.h). */
#ifndef STANCE_GPU_ANY_H
#define STANCE_GPU_ANY_H

#ifdef __CUDACC__
#define GPU_ANY static inline __host__ __device__
#else
#define GPU_ANY static inline
#endif

#endif
