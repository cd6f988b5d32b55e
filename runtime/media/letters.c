#include "media/letters.h"

#include <stdbool.h>
#include <string.h>

/* A glyph is a list of strokes parted by blanks; a stroke is a list of grid points, two characters
 * each (0-9, then a = 10 and so on): the control points of a uniform quadratic B-spline that begins
 * and ends on its first and last point. A point given twice is a corner; a star makes a closed
 * loop; a single point is a dot. */
static const char *const glyphs[128] = {
    ['!'] = "0005 09",
    ['"'] = "0003 2023",
    ['#'] = "1109 5149 0464 0666",
    ['$'] = "6261010464680807 303a",
    ['%'] = "6009 *00202202 *37575939",
    ['&'] = "69120020401315060919395765",
    ['\''] = "0003",
    ['('] = "2003072a",
    [')'] = "0023270a",
    ['*'] = "2026 0145 4105",
    ['+'] = "0545 2327",
    [','] = "180b",
    ['-'] = "0535",
    ['.'] = "09",
    ['/'] = "400a",
    ['0'] = "*00505909",
    ['1'] = "02202029",
    ['2'] = "02005054090959",
    ['3'] = "0110505424 2454591908",
    ['4'] = "40060656 4049",
    ['5'] = "500000040454591908",
    ['6'] = "*04545909 06004051",
    ['7'] = "00505019",
    ['8'] = "*00505404 *04545909",
    ['9'] = "*00505505 53591908",
    [':'] = "04 09",
    [';'] = "14 180b",
    ['<'] = "42050548",
    ['='] = "0444 0646",
    ['>'] = "02454508",
    ['?'] = "020050542427 29",
    ['@'] = "*23434626 4345566560000949",
    ['A'] = "09303069 1656",
    ['B'] = "0009 002050542404 042464692909",
    ['C'] = "626000096967",
    ['D'] = "0009 002060692909",
    ['E'] = "500000090959 0444",
    ['F'] = "50000009 0444",
    ['G'] = "6260000969656535",
    ['H'] = "0009 6069 0464",
    ['I'] = "0009",
    ['J'] = "4046490907",
    ['K'] = "0009 5005 2359",
    ['L'] = "00090959",
    ['M'] = "0900003737606069",
    ['N'] = "090000696960",
    ['O'] = "*00606909",
    ['P'] = "0009 002060652505",
    ['Q'] = "*00606909 466a",
    ['R'] = "0009 002060652505 3569",
    ['S'] = "6260000464690907",
    ['T'] = "0060 3039",
    ['U'] = "000509696560",
    ['V'] = "00393960",
    ['W'] = "0029294343696980",
    ['X'] = "0069 6009",
    ['Y'] = "0034 6034 3439",
    ['Z'] = "006060090969",
    ['['] = "2000000a0a2a",
    [']'] = "0020202a2a0a",
    ['\\'] = "004a",
    ['^'] = "03202043",
    ['_'] = "0a5a",
    ['`'] = "0012",
    ['a'] = "*03535909 5359",
    ['b'] = "*03535909 0009",
    ['c'] = "544303094958",
    ['d'] = "*03535909 5059",
    ['e'] = "0656565303094958",
    ['f'] = "40101219 0333",
    ['g'] = "*03535909 535a5c1c0b",
    ['h'] = "0009 0603535659",
    ['i'] = "0309 00",
    ['j'] = "232a2c0c 20",
    ['k'] = "0009 4307 2549",
    ['l'] = "0009",
    ['m'] = "0309 0603434649 4643838689",
    ['n'] = "0309 0603535659",
    ['o'] = "*03535909",
    ['p'] = "*03535909 030c",
    ['q'] = "*03535909 535c",
    ['r'] = "0309 060333",
    ['s'] = "5443030656591908",
    ['t'] = "11171939 0333",
    ['u'] = "0306095956 5359",
    ['v'] = "03292943",
    ['w'] = "0329294343696983",
    ['x'] = "0359 5309",
    ['y'] = "0329 431c",
    ['z'] = "035353090959",
    ['{'] = "30101505151a3a",
    ['|'] = "0a00",
    ['}'] = "00202535252a0a",
    ['~'] = "06043644",
};

/* What stands for a character that the font does not have. */
static const char box[] = "0050505959090900 00";

enum { CURVE_STEPS = 5, POINTS_MAX = 16, SPACE_WIDTH = 3 };

struct outline {
    struct draw_segment *segments;
    size_t count;
    float width;
};

static void add_segment(struct outline *outline, const float a[2], const float b[2]) {
    if (outline->count < LETTER_SEGMENTS)
        outline->segments[outline->count++] = (struct draw_segment){a[0], a[1], b[0], b[1]};
}

/* The parabola from a to b with control point c. */
static void add_curve(struct outline *outline, const float a[2], const float c[2],
                      const float b[2]) {
    float bend = (a[0] + b[0] - 2 * c[0]) * (a[0] + b[0] - 2 * c[0]) +
                 (a[1] + b[1] - 2 * c[1]) * (a[1] + b[1] - 2 * c[1]);
    int steps = bend < 0.01f ? 1 : CURVE_STEPS;
    float from[2] = {a[0], a[1]};
    for (int i = 1; i <= steps; i++) {
        float t = (float)i / (float)steps, u = 1 - t, to[2];
        for (int k = 0; k < 2; k++)
            to[k] = u * u * a[k] + 2 * u * t * c[k] + t * t * b[k];
        if (to[0] != from[0] || to[1] != from[1])
            add_segment(outline, from, to);
        memcpy(from, to, sizeof from);
    }
}

static void middle(const float a[2], const float b[2], float out[2]) {
    out[0] = (a[0] + b[0]) / 2;
    out[1] = (a[1] + b[1]) / 2;
}

static void add_stroke(struct outline *outline, float points[][2], size_t count, bool closed) {
    float from[2], to[2];
    if (count == 0)
        return;
    if (closed) {
        middle(points[count - 1], points[0], from);
        for (size_t i = 0; i < count; i++) {
            middle(points[i], points[(i + 1) % count], to);
            add_curve(outline, from, points[i], to);
            memcpy(from, to, sizeof from);
        }
    } else if (count <= 2) {
        add_segment(outline, points[0], points[count - 1]);
    } else {
        memcpy(from, points[0], sizeof from);
        for (size_t i = 1; i + 1 < count; i++) {
            if (i + 2 == count)
                memcpy(to, points[i + 1], sizeof to);
            else
                middle(points[i], points[i + 1], to);
            add_curve(outline, from, points[i], to);
            memcpy(from, to, sizeof from);
        }
    }
}

static float digit(char c) {
    return (float)(c <= '9' ? c - '0' : c - 'a' + 10);
}

size_t letter_segments(unsigned code_point, struct draw_segment *segments, float *width) {
    struct outline outline = {.segments = segments};
    const char *glyph = code_point < 128 && glyphs[code_point] != NULL ? glyphs[code_point] : box;
    *width = SPACE_WIDTH;
    if (code_point == ' ')
        return 0;
    while (*glyph != '\0') {
        float points[POINTS_MAX][2];
        size_t count = 0;
        bool closed = *glyph == '*';
        glyph += closed;
        for (; *glyph != '\0' && *glyph != ' '; glyph += 2, count++) {
            points[count][0] = digit(glyph[0]);
            points[count][1] = digit(glyph[1]);
            if (points[count][0] > outline.width)
                outline.width = points[count][0];
        }
        add_stroke(&outline, points, count, closed);
        glyph += *glyph == ' ';
    }
    *width = outline.width;
    return outline.count;
}
