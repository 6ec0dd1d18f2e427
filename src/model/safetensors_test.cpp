#include "model/safetensors.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/testing/byte_builder.h"
#include "model/testing/safetensors_writer.h"

namespace weir::model {
namespace {

using testing::ByteBuilder;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::safetensors_file;

std::string refusal(std::string_view header, size_t data_bytes) {
    const auto bytes = safetensors_file(header, data_bytes);
    const auto file = SafetensorsFile::parse(bytes);
    EXPECT_FALSE(file.has_value()) << header;
    return file ? "accepted" : file.error().message;
}

TEST(Safetensors, ReadsTensorsInAnyOrder) {
    const auto bytes = safetensors_file(
        R"({"__metadata__": {"format": "pt"},
            "b": {"dtype": "BF16", "shape": [2, 2], "data_offsets": [4, 12]},
            "a": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}   )",
        12);
    const auto file = SafetensorsFile::parse(bytes);
    ASSERT_TRUE(file.has_value()) << file.error().message;
    ASSERT_EQ(file->tensors().size(), 2u);
    EXPECT_EQ(file->find("a")->bytes.size(), 4u);
    EXPECT_EQ(file->find("a")->kernel_dtype(), tensor::DType::F32);
    EXPECT_THAT(file->find("b")->shape, ElementsAre(2, 2));
    EXPECT_EQ(file->find("c"), nullptr);
}

TEST(Safetensors, TypesThatCannotBeComputedWithKeepTheirNames) {
    const auto bytes =
        safetensors_file(R"({"a": {"dtype": "F8_E5M2", "shape": [3], "data_offsets": [0, 3]}})", 3);
    const auto file = SafetensorsFile::parse(bytes);
    ASSERT_TRUE(file.has_value()) << file.error().message;
    EXPECT_EQ(file->find("a")->dtype, "F8_E5M2");
    EXPECT_EQ(file->find("a")->kernel_dtype(), std::nullopt);
}

TEST(Safetensors, MF9_NamesThatAreNone) {
    const auto named = [](std::string_view name) {
        return refusal(R"({")" + std::string(name) +
                           R"(": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}})",
                       1);
    };
    EXPECT_THAT(named(""), HasSubstr("name"));
    EXPECT_THAT(named("a\\u0000b"), HasSubstr("name"));
    EXPECT_THAT(named(std::string(2000, 'n')), HasSubstr("name"));
    EXPECT_THAT(named("\xff"), HasSubstr("header"));
    EXPECT_THAT(named("\xc0\x80"), HasSubstr("header"));
}

TEST(Safetensors, MF11_ProductOfTheShapeThatWraps) {
    EXPECT_THAT(refusal(R"({"a": {"dtype": "F32", "shape": [4611686018427387905, 4],
                                  "data_offsets": [0, 16]}})",
                        16),
                HasSubstr("tensor a"));
}

TEST(Safetensors, MF11_OffsetsThatAreNegativeReversedOrOutside) {
    EXPECT_THAT(refusal(R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [-4, 0]}})", 4),
                HasSubstr("tensor a"));
    EXPECT_THAT(refusal(R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [4, 0]}})", 4),
                HasSubstr("tensor a"));
    EXPECT_THAT(refusal(R"({"a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}})", 4),
                HasSubstr("tensor a"));
    EXPECT_THAT(refusal(R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4, 4]}})", 4),
                HasSubstr("tensor a"));
    EXPECT_THAT(refusal(R"({"a": {"dtype": "U8", "shape": [4],
                                  "data_offsets": [18446744073709551614, 2]}})",
                        4),
                HasSubstr("tensor a"));
    EXPECT_THAT(refusal(R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0.5, 4]}})", 4),
                HasSubstr("tensor a"));
}

TEST(Safetensors, MF11_ShapeThatIsNotItsExtent) {
    EXPECT_THAT(refusal(R"({"a": {"dtype": "F16", "shape": [3], "data_offsets": [0, 4]}})", 4),
                HasSubstr("its shape needs 6 bytes"));
}

TEST(Safetensors, MF12_MembersThatOccurTwice) {
    EXPECT_THAT(refusal(R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
                            "a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}})",
                        4),
                HasSubstr("header"));
    EXPECT_THAT(refusal(R"({"a": {"dtype": "U8", "dtype": "I8", "shape": [4],
                                  "data_offsets": [0, 4]}})",
                        4),
                HasSubstr("header"));
}

TEST(Safetensors, MF12_HolesAndOverlaps) {
    const auto two = [](int first, int second) {
        return R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [)" + std::to_string(first) +
               ", " + std::to_string(first + 4) +
               R"(]}, "b": {"dtype": "U8", "shape": [4], "data_offsets": [)" +
               std::to_string(second) + ", " + std::to_string(second + 4) + "]}}";
    };
    EXPECT_THAT(refusal(two(0, 6), 10), HasSubstr("tensor b"));  // a hole
    EXPECT_THAT(refusal(two(0, 2), 6), HasSubstr("tensor b"));   // an overlap
    EXPECT_THAT(refusal(two(0, 0), 4), HasSubstr("does not begin"));
    EXPECT_THAT(refusal(two(0, 4), 9), HasSubstr("last 1 bytes"));
    EXPECT_THAT(refusal(two(1, 5), 9), HasSubstr("tensor a"));  // a hole at the front
}

TEST(Safetensors, MF12_TensorsOfNoBytes) {
    EXPECT_THAT(refusal(R"({"a": {"dtype": "U8", "shape": [0], "data_offsets": [0, 0]}})", 0),
                HasSubstr("tensor a"));
    EXPECT_THAT(refusal(R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},
                            "b": {"dtype": "U8", "shape": [2, 0], "data_offsets": [2, 2]}})",
                        4),
                HasSubstr("tensor b"));  // inside another one's bytes
}

TEST(Safetensors, MF12_HeaderTooLong) {
    ByteBuilder file;
    file.put(kSafetensorsHeaderBytesMax + 1).put_raw("{}");
    EXPECT_EQ(SafetensorsFile::parse(file.bytes()).error().code, ErrorCode::TooLarge);
}

TEST(Safetensors, HeaderLongerThanTheFile) {
    ByteBuilder file;
    file.put(uint64_t{100}).put_raw("{}");
    EXPECT_EQ(SafetensorsFile::parse(file.bytes()).error().code, ErrorCode::DataCorrupt);
}

TEST(Safetensors, HeadersThatAreNoObjectOfTensorsAreRefused) {
    EXPECT_THAT(refusal("[]", 0), HasSubstr("no JSON object"));
    EXPECT_THAT(refusal("", 0), HasSubstr("no JSON object"));
    EXPECT_THAT(refusal(R"({"a": 1})", 0), HasSubstr("tensor a"));
    EXPECT_THAT(refusal(R"({"a": {"shape": [1], "data_offsets": [0, 1]}})", 1),
                HasSubstr("tensor a"));
    EXPECT_THAT(refusal(R"({"a": {"dtype": "Q9", "shape": [1], "data_offsets": [0, 1]}})", 1),
                HasSubstr("tensor a"));
    EXPECT_THAT(
        refusal(R"({"a": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1], "x": 1}})", 1),
        HasSubstr("tensor a"));
    EXPECT_THAT(refusal(R"({"": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}})", 1),
                HasSubstr("name"));
}

}  // namespace
}  // namespace weir::model
