/* cuda_emulate.cu - see cuda_emulate.h. */
#include "check/cuda_emulate.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <ucontext.h>
#include <vector>

namespace {

enum { STACK = 64 * 1024, WARP = 32 };

struct copy {
    __half *to;
    bool zero;
    uint4 from;
};

struct block;

/* One thread of a block. */
struct lane {
    block *home;
    int id;
    ucontext_t context;
    std::vector<char> stack;
    std::deque<std::vector<copy>> groups; /* of copies under way, the last still open */
    bool done;

    int thread() const {
        return id;
    }
    void sync();

    void copy16(__half *to, const __half *from, const __half *) {
        copy one = {to, from == nullptr, {}};
        if (from != nullptr)
            memcpy(&one.from, from, sizeof one.from);
        groups.back().push_back(one);
    }

    void commit() {
        groups.emplace_back();
    }

    template <int Left> void wait() {
        while (groups.size() > Left + 1) { /* the open one is not committed */
            for (const copy &one : groups.front()) {
                const uint4 value = one.zero ? uint4{} : one.from;
                memcpy(static_cast<void *>(one.to), &value, sizeof value);
            }
            groups.pop_front();
        }
    }

    void multiply_add(float (&sum)[4], const uint32_t (&left)[4], const uint32_t (&right)[2]);
};

struct block {
    ucontext_t scheduler;
    std::vector<lane> lanes;
    std::vector<int> order;
    lane *running;
    void (*body)(void *, lane &);
    void *argument;
    /* What each thread gave to a product; two, as one thread may be a product ahead. */
    uint32_t left[2][CONV_THREADS][4], right[2][CONV_THREADS][2];
    int turn[CONV_THREADS];
};

block *current;

void enter() {
    lane *self = current->running;
    current->body(current->argument, *self);
    self->done = true;
    swapcontext(&self->context, &current->scheduler);
}

void lane::sync() {
    swapcontext(&context, &home->scheduler);
}

float half_of(uint32_t pair, int which) {
    const uint16_t bits = (uint16_t)(which == 0 ? pair : pair >> 16);
    __half out;
    memcpy(static_cast<void *>(&out), &bits, sizeof bits);
    return __half2float(out);
}

void lane::multiply_add(float (&sum)[4], const uint32_t (&a)[4], const uint32_t (&b)[2]) {
    const int turn = home->turn[id]++ % 2;
    memcpy(home->left[turn][id], a, sizeof a);
    memcpy(home->right[turn][id], b, sizeof b);
    sync();
    const int warp = id / WARP * WARP, group = id % WARP / 4, pair = id % 4;
    for (int i = 0; i < 4; i++) {
        const int row = group + i / 2 * 8, column = 2 * pair + i % 2;
        for (int k = 0; k < 16; k++) {
            const int from = warp + row % 8 * 4 + k % 8 / 2, with = warp + column * 4 + k % 8 / 2;
            sum[i] += half_of(home->left[turn][from][row / 8 + k / 8 * 2], k % 2) *
                      half_of(home->right[turn][with][k / 8], k % 2);
        }
    }
}

/* Runs a block's threads to their ends, a barrier at a time. */
void run_block(void (*body)(void *, lane &), void *argument) {
    static block *home = new block;
    current = home;
    home->body = body;
    home->argument = argument;
    home->lanes.resize(CONV_THREADS);
    home->order.resize(CONV_THREADS);
    for (int i = 0; i < CONV_THREADS; i++) {
        lane &one = home->lanes[i];
        one.home = home;
        one.id = i;
        one.done = false;
        one.stack.resize(STACK);
        one.groups.assign(1, {});
        home->order[i] = i;
        home->turn[i] = 0;
        getcontext(&one.context);
        one.context.uc_stack.ss_sp = one.stack.data();
        one.context.uc_stack.ss_size = STACK;
        one.context.uc_link = nullptr;
        makecontext(&one.context, enter, 0);
    }
    for (bool left = true; left;) {
        left = false;
        for (int i = CONV_THREADS - 1; i > 0; i--)
            std::swap(home->order[i], home->order[rand() % (i + 1)]);
        int ended = 0;
        for (int i : home->order) {
            home->running = &home->lanes[i];
            swapcontext(&home->scheduler, &home->lanes[i].context);
            ended += home->lanes[i].done;
        }
        if (ended != 0 && ended != CONV_THREADS) {
            fprintf(stderr, "gpu_check_cuda: %d of %d threads missed a barrier\n", ended,
                    CONV_THREADS);
            abort();
        }
        left = ended == 0;
    }
}

struct conv_job {
    const conv_args *args;
    __half *shared;
    uint32_t row, column;
};

template <int Columns, bool Pointwise> void conv_body(void *argument, lane &self) {
    const conv_job *job = static_cast<conv_job *>(argument);
    conv_block<Columns, Pointwise, lane>(*job->args, self, job->shared, job->row, job->column)
        .run();
}

template <int Columns> void emulate_columns(const conv_args &args) {
    std::vector<half8> shared(conv_shared<Columns>::halves / CUDA_LANES);
    for (uint32_t row = 0; row < (args.rows() + CONV_ROWS - 1) / CONV_ROWS; row++)
        for (uint32_t column = 0; column < (args.channels + Columns - 1) / Columns; column++) {
            memset(static_cast<void *>(shared.data()), 0xff, shared.size() * sizeof(half8));
            conv_job job = {&args, reinterpret_cast<__half *>(shared.data()), row, column};
            run_block(args.pointwise() ? conv_body<Columns, true> : conv_body<Columns, false>,
                      &job);
        }
}

} // namespace

void emulate_conv(const conv_args &args) {
    switch (conv_columns(args)) {
    case 16:
        emulate_columns<16>(args);
        break;
    case 32:
        emulate_columns<32>(args);
        break;
    default:
        emulate_columns<64>(args);
    }
}

void plain_conv(const conv_args &a) {
    const uint32_t stored = channels_stored(a.channels), in = a.in.channels;
    const size_t pixels = (size_t)a.in.batch * a.in.height * a.in.width;
    std::vector<float> x(pixels * in), w((size_t)stored * a.inputs()), sums(stored);
    for (size_t i = 0; i < x.size(); i++)
        x[i] = __half2float(a.x[i]);
    for (uint32_t o = 0; o < stored; o++) /* by input, so that the loop below runs over outputs */
        for (uint32_t k = 0; k < a.inputs(); k++)
            w[(size_t)k * stored + o] = __half2float(a.weights[(size_t)o * a.pitch() + k]);
    for (uint32_t row = 0; row < a.rows(); row++) {
        const uint32_t ox = row % a.width, oy = row / a.width % a.height;
        const uint32_t n = row / a.width / a.height;
        std::fill(sums.begin(), sums.end(), 0.0f);
        for (uint32_t tap = 0; tap < a.kernel[0] * a.kernel[1]; tap++) {
            const uint32_t y = oy * a.stride[0] + tap / a.kernel[1] - a.top;
            const uint32_t column = ox * a.stride[1] + tap % a.kernel[1] - a.left;
            if (y >= a.in.height || column >= a.in.width)
                continue;
            const float *from = &x[(((size_t)n * a.in.height + y) * a.in.width + column) * in];
            for (uint32_t c = 0; c < in; c++)
                for (uint32_t o = 0; o < stored; o++)
                    sums[o] += from[c] * w[((size_t)tap * in + c) * stored + o];
        }
        for (uint32_t o = 0; o < stored; o++) {
            float value = activate(sums[o] + a.bias[o], a.activation);
            if (a.out == nullptr) {
                const uint32_t size = a.height * a.width;
                if (o < a.channels)
                    a.out_float[row / size * a.apart + (size_t)(row % size) * a.channels + o] =
                        value;
                continue;
            }
            if (a.more != nullptr)
                value = activate(__half2float(__float2half_rn(value)) +
                                     __half2float(a.more[(size_t)row * stored + o]),
                                 a.after);
            a.out[(size_t)row * stored + o] = __float2half_rn(value);
        }
    }
}
