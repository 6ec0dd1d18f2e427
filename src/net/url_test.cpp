#include "net/url.h"

#include <gtest/gtest.h>

namespace weir::net {
namespace {

TEST(BaseUrl, ReadsSchemeHostPortAndPath) {
    const auto url = parse_base_url("https://API.Example.com/v1/");
    ASSERT_TRUE(url) << url.error().message;
    EXPECT_EQ(url->origin, (Origin{Scheme::Https, "api.example.com", 443}));
    EXPECT_EQ(url->path, "/v1");
    EXPECT_EQ(url->origin.text(), "https://api.example.com:443");
    EXPECT_EQ(url->origin.host_header(), "api.example.com");
}

TEST(BaseUrl, KeepsAPortThatIsNotTheSchemesOwn) {
    const auto url = parse_base_url("http://127.0.0.1:8000");
    ASSERT_TRUE(url) << url.error().message;
    EXPECT_EQ(url->origin.text(), "http://127.0.0.1:8000");
    EXPECT_EQ(url->origin.host_header(), "127.0.0.1:8000");
    EXPECT_EQ(url->path, "");
}

TEST(BaseUrl, ReadsAnIpv6AddressInBrackets) {
    const auto url = parse_base_url("https://[::1]:8443/x");
    ASSERT_TRUE(url) << url.error().message;
    EXPECT_EQ(url->origin.host, "::1");
    EXPECT_EQ(url->origin.text(), "https://[::1]:8443");
}

TEST(BaseUrl, SF2_WhatItWritesItReadsBackAlike) {
    for (const char* text : {"https://a.example/v1", "http://[2001:db8::1]:1/a/b", "http://h:80"}) {
        const auto once = parse_base_url(text);
        ASSERT_TRUE(once) << text;
        const auto twice = parse_base_url(once->text());
        ASSERT_TRUE(twice) << once->text();
        EXPECT_EQ(twice->origin, once->origin);
        EXPECT_EQ(twice->path, once->path);
    }
}

TEST(BaseUrl, SE1_AKeyInTheAddressIsRefusedAndNotRepeated) {
    for (const char* text : {"https://user:sk-canary@a.example", "https://sk-canary@a.example/v1",
                             "https://a.example/v1?api_key=sk-canary"}) {
        const auto url = parse_base_url(text);
        ASSERT_FALSE(url) << text;
        EXPECT_EQ(url.error().message.find("sk-canary"), std::string::npos) << url.error().message;
    }
}

class BadBaseUrl : public testing::TestWithParam<std::string> {};

TEST_P(BadBaseUrl, SF2_IsRefused) {
    EXPECT_FALSE(parse_base_url(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(
    Spellings, BadBaseUrl,
    testing::Values("", "https", "https://", "ftp://a", "//a", "https:/a", "https://a@b.example",
                    "https://user:key@b.example", "https://a\\@b.example", "https://a.example\\b",
                    "https://a.example?x=1", "https://a.example/#f", "https://a.example/%2e",
                    "https://a.example/../x", "https://a.example//x", "https://a.example//",
                    "https://a b", "https://a\n", "https://a:0", "https://a:65536", "https://a:",
                    "https://a:1x", "https://127.1", "https://0x7f000001", "https://2130706433",
                    "https://127.0.0.01", "https://256.1.1.1", "https://[::1", "https://[::1]x",
                    "https://[]", "https://-a.example", "https://a..example", "https://a.example.",
                    "https://" + std::string(300, 'a'), "https://a/" + std::string(3000, 'a')));

}  // namespace
}  // namespace weir::net
