#include "host/recipes_address.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct block4 {
    uint32_t first;
    int bits;
};

/* RFC 6890's "this host", loopback, link-local, multicast, reserved; and
 * single addresses of clouds' metadata. */
static const struct block4 blocks4[] = {
    {0x00000000, 8},  /* 0.0.0.0/8 */
    {0x7f000000, 8},  /* 127.0.0.0/8 */
    {0xa9fe0000, 16}, /* 169.254.0.0/16: link-local, most clouds' metadata */
    {0xe0000000, 4},  /* 224.0.0.0/4: multicast */
    {0xf0000000, 4},  /* 240.0.0.0/4: reserved, broadcast */
    {0x646464c8, 32}, /* 100.100.100.200: Alibaba Cloud's metadata */
    {0xc00000c0, 32}, /* 192.0.0.192: Oracle Cloud's */
};

static bool is_local4(uint32_t address)
{
    for (size_t i = 0; i < sizeof(blocks4) / sizeof(blocks4[0]); i++) {
        int shift = 32 - blocks4[i].bits;
        if (address >> shift == blocks4[i].first >> shift) {
            return true;
        }
    }
    return false;
}

static uint32_t read4(const unsigned char *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 |
           (uint32_t)at[2] << 8 | at[3];
}

/* Prefixes behind which an IPv4 address stands, and where. */
struct carrier {
    unsigned char prefix[12];
    size_t prefix_bytes;
    size_t at;
};
static const struct carrier carriers[] = {
    /* ::ffff:0:0/96, mapped (RFC 4291) */
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff}, 12, 12},
    /* ::/96, compatible (RFC 4291); :: and ::1 are 0.0.0.0 and 0.0.0.1 */
    {{0}, 12, 12},
    /* ::ffff:0:0:0/96, translated (RFC 2765) */
    {{0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0}, 12, 12},
    /* 64:ff9b::/96, NAT64 (RFC 6052) */
    {{0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0}, 12, 12},
    /* 2002::/16, 6to4 (RFC 3056) */
    {{0x20, 0x02}, 2, 2},
};

static bool is_local6(const unsigned char address[16])
{
    /* Amazon's metadata, fd00:ec2::254. */
    static const unsigned char metadata[16] = {0xfd, 0x00,        0x0e,
                                               0xc2, [14] = 0x02, [15] = 0x54};
    if (address[0] == 0xff ||                                  /* ff00::/8 */
        (address[0] == 0xfe && (address[1] & 0xc0) == 0x80) || /* fe80::/10 */
        (address[0] == 0xfe && (address[1] & 0xc0) == 0xc0) || /* fec0::/10 */
        memcmp(address, metadata, sizeof(metadata)) == 0) {
        return true;
    }
    for (size_t i = 0; i < sizeof(carriers) / sizeof(carriers[0]); i++) {
        const struct carrier *carrier = &carriers[i];
        if (memcmp(address, carrier->prefix, carrier->prefix_bytes) == 0 &&
            is_local4(read4(address + carrier->at))) {
            return true;
        }
    }
    return false;
}

bool recipes_address_is_local(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET) {
        const struct sockaddr_in *ip4 = (const void *)address;
        return is_local4(ntohl(ip4->sin_addr.s_addr));
    }
    if (address->sa_family == AF_INET6) {
        const struct sockaddr_in6 *ip6 = (const void *)address;
        return is_local6(ip6->sin6_addr.s6_addr);
    }
    return true;
}
