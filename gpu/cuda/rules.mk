# The CUDA plug-in and its check program, for gpu/Makefile: built where there is an nvcc (11.8 or newer).
#
# Machine code is made for compute capabilities 7.5, 8.0 (which 8.6 and 8.9 run, too) and 9.0, and PTX of the last, which
# drivers compile for newer devices: half a minute on two cores. CUDA_ARCHS=90 builds for one alone.

ifeq ($(origin NVCC),undefined)
NVCC := $(or $(shell command -v nvcc 2>/dev/null),$(wildcard /usr/local/cuda/bin/nvcc))
endif
CUDA_ARCHS ?= 75 80 90
PLUGIN := $(BUILD)/libstance_cuda.so

# Objects of other compilers' sanitizers do not go together with nvcc's.
CUDA := $(if $(findstring -fsanitize,$(CFLAGS)),,$(NVCC))
CUDA_CODE := $(foreach arch,$(CUDA_ARCHS),-gencode arch=compute_$(arch),code=sm_$(arch)) \
             -gencode arch=compute_$(lastword $(CUDA_ARCHS)),code=compute_$(lastword $(CUDA_ARCHS))
CUDA_FLAGS := -std=c++17 -O3 -I. --threads 2 -Wno-deprecated-gpu-targets -Werror all-warnings \
              -Xcompiler -Wall,-Wextra,-Werror,-Wno-unknown-pragmas,-fPIC,-fvisibility=hidden,-fno-lto

# cuDNN (9, 8): beside nvcc, in the system, or Python's; loaded at run time, so it need not be there then.
ifeq ($(origin CUDNN_HOME),undefined)
CUDNN_HOME := $(firstword $(patsubst %/include/cudnn.h,%,$(wildcard $(foreach home,\
    $(patsubst %/bin/nvcc,%,$(realpath $(NVCC))) $(patsubst %/bin/nvcc,%,$(NVCC)) /usr \
    $(if $(CUDA),$(shell python3 -c 'import nvidia.cudnn as c; print(list(c.__path__)[0])' 2>/dev/null)),\
    $(home)/include/cudnn.h))))
endif
ifneq ($(CUDNN_HOME),)
CUDA_FLAGS += -I$(CUDNN_HOME)/include -DCUDNN_BUILT_WITH='"$(CUDNN_HOME)"'
endif

CUDA_OBJECTS := $(patsubst %.cu,$(OUT)/%.o,$(wildcard cuda/*.cu))
CUDA_CHECKS := $(patsubst %.cu,$(OUT)/%.o,$(wildcard check/cuda_*.cu)) \
               $(patsubst %,$(OUT)/check/%.o,graphs models body lane_ops)

ifeq ($(CUDA),)
plugin:
	@echo "built without the CUDA plug-in: no nvcc (NVCC=/path/to/nvcc)"
cuda-check cuda-bench:
	@echo "SKIP cuda: $(if $(NVCC),sanitizers and nvcc do not go together,no nvcc)"
else
plugin: $(PLUGIN)
	@$(if $(CUDNN_HOME),:,echo "the CUDA plug-in has convolutions of its own alone: no cudnn.h (CUDNN_HOME=/where/it/is)")

# The runtime is linked in, so that only the driver has to be there; what else it takes of the library it keeps to itself.
$(PLUGIN): $(CUDA_OBJECTS) $(OUT)/libstance_gpu.a
	$(CUDA) -shared -cudart static -Xcompiler -fno-lto -Xlinker --exclude-libs=ALL -o $@ $^

$(OUT)/gpu_check_cuda: $(CUDA_CHECKS) $(CUDA_OBJECTS) $(OUT)/libstance_gpu.a
	$(CUDA) -cudart static -Xcompiler -fno-lto -o $@ $^ -ldl -lpthread

# The checks' own kernels are few and made by the driver. A fiber of the emulation (check/cuda_emulate.h) is no device's
# function: nvcc would warn of that.
$(OUT)/check/cuda_%.o: CUDA_CODE := -gencode arch=compute_$(firstword $(CUDA_ARCHS)),code=compute_$(firstword $(CUDA_ARCHS))
$(OUT)/check/cuda_%.o: CUDA_FLAGS += -diag-suppress 20011,20014

# Pictures are the CPU's bytes: nothing is fused, and integers wrap as vectors' do (cuda/lanes.h).
RENDER_FLAGS := -fmad=false -Xcompiler -ffp-contract=off,-fwrapv
$(OUT)/cuda/render.o $(OUT)/check/cuda_render.o $(OUT)/check/cuda_lanes.o $(OUT)/check/cuda_bench_render.o: \
    CUDA_FLAGS += $(RENDER_FLAGS)

$(OUT)/cuda/cudnn.o: CUDA_FLAGS += -diag-suppress 1444 # deprecated, which its newer header says of all this

$(OUT)/%.o: %.cu $(OUT)/cuda_flags
	@mkdir -p $(@D)
	$(CUDA) $(CUDA_FLAGS) $(CUDA_CODE) -MMD -MP -c -o $@ $<

$(OUT)/cuda_flags: always
	@mkdir -p $(OUT)
	@echo "$(CUDA) $(CUDA_FLAGS) $(CUDA_CODE)" | cmp -s - $@ || echo "$(CUDA) $(CUDA_FLAGS) $(CUDA_CODE)" > $@

cuda-check: $(OUT)/gpu_check_cuda
	$(OUT)/gpu_check_cuda

cuda-bench: $(OUT)/gpu_check_cuda
	$(OUT)/gpu_check_cuda bench

-include $(CUDA_OBJECTS:.o=.d) $(patsubst %.o,%.d,$(CUDA_CHECKS))
endif

.PHONY: plugin cuda-check cuda-bench
