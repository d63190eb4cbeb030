/*
 * Against the vectors that the authors publish, and in pieces.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/macros.h"
#include "base/siphash.h"

/* The authors' key: bytes 0 to 15. */
static const struct siphash_key key = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};

static const char *bytes(void)
{
    static char all[64];
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (char)i;
    return all;
}

static struct digest hash(size_t n)
{
    struct siphash s = siphash_begin(key);
    siphash_add(&s, (struct str){bytes(), n});
    return siphash_end(&s);
}

/* Of the published vectors_sip128, as little-endian words. */
static void test_published_vectors(void **state)
{
    static const struct {
        size_t n;
        struct digest digest;
    } vectors[] = {
        {0, {0xe6a825ba047f81a3u, 0x930255c71472f66du}},
        {1, {0x44af996bd8c187dau, 0x45fc229b11597634u}},
        {15, {0x11a8b03399e99354u, 0xd9c3cf970fec087eu}},
        {63, {0x4a83502f77d15051u, 0x7cbd3f979a063e50u}},
    };
    (void)state;
    for (size_t i = 0; i < PX_ARRAY_LEN(vectors); i++) {
        struct digest d = hash(vectors[i].n);
        assert_true(digest_eq(d, vectors[i].digest));
    }
}

static void test_pieces_are_the_whole(void **state)
{
    (void)state;
    for (size_t n = 0; n < 64; n++)
        for (size_t cut = 0; cut <= n; cut++) {
            struct siphash s = siphash_begin(key);
            siphash_add(&s, (struct str){bytes(), cut});
            (void)siphash_end(&s); /* which ends nothing */
            siphash_add(&s, (struct str){bytes() + cut, n - cut});
            assert_true(digest_eq(siphash_end(&s), hash(n)));
        }
}

static void test_another_key_is_another_digest(void **state)
{
    (void)state;
    struct siphash s = siphash_begin((struct siphash_key){key.k0, key.k1 ^ 1});
    siphash_add(&s, (struct str){bytes(), 9});
    assert_false(digest_eq(siphash_end(&s), hash(9)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_vectors),
        cmocka_unit_test(test_pieces_are_the_whole),
        cmocka_unit_test(test_another_key_is_another_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
