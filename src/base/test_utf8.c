/*
 * UTF-8: every boundary of RFC 3629, and cutting between characters.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

/* In memory of its exact size, so that the address sanitizer sees a read past the end. */
static bool is_valid(struct str s)
{
    char *copy = malloc(s.n ? s.n : 1);
    assert_non_null(copy);
    memcpy(copy, s.p, s.n);
    bool result = utf8_is_valid((struct str){copy, s.n});
    free(copy);
    return result;
}

static void valid(void **state)
{
    (void)state;
    static const struct str texts[] = {
        STR(""),
        STR("plain"),
        STR("a\0b"),
        STR("\x7f"),
        STR("\xc2\x80"),
        STR("\xdf\xbf"),
        STR("\xe0\xa0\x80"),
        STR("\xed\x9f\xbf"),
        STR("\xee\x80\x80"),
        STR("\xef\xbf\xbf"),
        STR("\xf0\x90\x80\x80"),
        STR("\xf4\x8f\xbf\xbf"),
        STR("gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"),
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(texts); i++)
        assert_true(is_valid(texts[i]));
}

static void invalid(void **state)
{
    (void)state;
    static const struct str texts[] = {
        STR("\x80"), /* continuation without a start */
        STR("\xbf"),
        STR("\xc0\x80"), /* overlong NUL */
        STR("\xc1\xbf"),
        STR("\xc2"), /* cut */
        STR("\xc2\x41"),
        STR("\xe0\x9f\xbf"), /* overlong */
        STR("\xe2\x82"),
        STR("\xe2\x82\x41"),
        STR("\xed\xa0\x80"), /* surrogates */
        STR("\xed\xbf\xbf"),
        STR("\xf0\x8f\xbf\xbf"), /* overlong */
        STR("\xf0\x9f\x98"),
        STR("\xf4\x90\x80\x80"), /* above U+10FFFF */
        STR("\xf5\x80\x80\x80"),
        STR("\xff"),
        STR("fine \xc3\xbc then \xe9 not"),
    };
    for (size_t i = 0; i < PX_ARRAY_LEN(texts); i++)
        assert_false(is_valid(texts[i]));
}

/* Every sequence of two and three bytes against the definition by code points. */
static void short_sequences_exhaustively(void **state)
{
    (void)state;
    size_t two = 0, three = 0;
    for (unsigned a = 0x80; a < 0x100; a++)
        for (unsigned b = 0; b < 0x100; b++) {
            const char s[3] = {(char)a, (char)b, '\0'};
            two += utf8_is_valid((struct str){s, 2});
            for (unsigned c = 0x80; c < 0x100; c++) {
                const char t[3] = {(char)a, (char)b, (char)c};
                three += b >= 0x80 && utf8_is_valid((struct str){t, 3});
            }
        }
    assert_int_equal(two, 0x800 - 0x80);
    assert_int_equal(three, 0x10000 - 0x800 - 0x800); /* without the surrogates */
}

/* ASCII is taken eight at a time: a fault at every place of and behind such runs. */
static void faults_in_long_texts(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 40; n++) {
        for (size_t at = 0; at < n; at++) {
            char text[40];
            memset(text, 'a', sizeof(text));
            assert_true(is_valid((struct str){text, n}));
            text[at] = '\x80';
            assert_false(is_valid((struct str){text, n}));
            text[at] = '\xc3';
            assert_false(is_valid((struct str){text, n}));
            if (at + 1 == n)
                continue;
            text[at + 1] = '\xbc';
            assert_true(is_valid((struct str){text, n}));
        }
    }
}

static void cutting(void **state)
{
    (void)state;
    struct str s = STR("a\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80");
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 10};
    for (size_t max = 0; max < PX_ARRAY_LEN(expected); max++) {
        struct str cut = utf8_cut(s, max);
        assert_ptr_equal(cut.p, s.p);
        assert_int_equal(cut.n, expected[max]);
        assert_true(utf8_is_valid(cut));
    }
    assert_int_equal(utf8_cut(STR(""), 0).n, 0);
    assert_int_equal(utf8_cut(STR("\x80\x80\x80"), 2).n, 0); /* no character begins there */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid),
        cmocka_unit_test(invalid),
        cmocka_unit_test(short_sequences_exhaustively),
        cmocka_unit_test(faults_in_long_texts),
        cmocka_unit_test(cutting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
