/* cuda_lanes.cu - cuda/lanes.h beside the CPU's vectors: every function, over numbers of all sizes
 * and over those that are none. */
#include "check/cuda_check.h"
#include "check/lane_ops.h"

#include <cmath>
#include <cstring>

namespace {

enum { NUMBERS = 1 << 12 };

struct lane_item {
    int op;
    const float *a, *b, *c;
    const void *table;
    int32_t *out;

    CUDA_ANY void operator()(uint32_t i) const {
        out[i] = lane_op(op, a[i], b[i], c[i], table);
    }
};

float odd_number() {
    static const float odd[] = {0.0f,    -0.0f,    1.0f,     -1.0f,    0.5f,       1e-45f,
                                -1e-45f, 1e-38f,   3.4e38f,  -3.4e38f, INFINITY,   -INFINITY,
                                NAN,     2.5f,     3.5f,     -2.5f,    8388607.5f, 0.1f,
                                255.0f,  65536.0f, -65536.0f};
    const uint32_t kind = cuda_below(4);
    if (kind == 0)
        return odd[cuda_below(sizeof odd / sizeof odd[0])];
    if (kind == 1)
        return (cuda_random() - 0.5f) * 100.0f;
    if (kind == 2)
        return cuda_random();
    const uint32_t bits = cuda_below(1u << 16) << 16 | cuda_below(1u << 16);
    float out;
    memcpy(&out, &bits, sizeof out);
    return out;
}

/* Which NaN it is says nothing. */
bool same(int32_t mine, int32_t theirs) {
    float a, b;
    memcpy(&a, &mine, sizeof a);
    memcpy(&b, &theirs, sizeof b);
    return mine == theirs || (std::isnan(a) && std::isnan(b));
}

} // namespace

void cuda_check_lanes(cuda_where where) {
    std::vector<float> numbers[3];
    std::vector<int32_t> words(512);
    for (std::vector<float> &one : numbers)
        for (int i = 0; i < NUMBERS; i++)
            one.push_back(odd_number());
    for (int32_t &word : words)
        word = (int32_t)cuda_below(1u << 30);
    const shared_array<float> a(where, numbers[0]), b(where, numbers[1]), c(where, numbers[2]);
    const shared_array<int32_t> table(where, words);
    for (int op = 0; op < LANE_OPS; op++) {
        shared_array<int32_t> out(where, std::vector<int32_t>(NUMBERS));
        run_items(where, lane_item{op, a.at, b.at, c.at, table.at, out.at}, NUMBERS);
        const std::vector<int32_t> &mine = out.back();
        int wrong = 0, first = 0;
        for (int i = 0; i < NUMBERS; i += LANE_WIDTH) {
            int32_t theirs[LANE_WIDTH];
            lane_ops_cpu(op, &numbers[0][i], &numbers[1][i], &numbers[2][i], words.data(), theirs);
            for (int l = 0; l < LANE_WIDTH; l++)
                if (!same(mine[i + l], theirs[l]) && wrong++ == 0)
                    first = i + l;
        }
        check_that(wrong == 0, "lane operation %d: %d of %d differ, the first of %g, %g, %g", op,
                   wrong, (int)NUMBERS, (double)numbers[0][first], (double)numbers[1][first],
                   (double)numbers[2][first]);
    }
}
