#include "model/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "model/testing/gguf_writer.h"
#include "model/testing/temporary_folder.h"

namespace weir::model {
namespace {

using testing::ByteBuilder;
using ::testing::ElementsAre;
using testing::GgufWriter;
using ::testing::HasSubstr;
using testing::TemporaryFolder;

constexpr uint32_t kF32 = 0;

// The head of a file up to its counts.
ByteBuilder preamble(uint64_t tensors, uint64_t entries, uint32_t version = 3) {
    ByteBuilder out;
    out.put_raw("GGUF").put(version).put(tensors).put(entries);
    return out;
}

// A file with one tensor, described by hand, and some data.
struct OneTensor {
    std::string name = "t";
    std::vector<int64_t> ne = {4};
    uint32_t type = kF32;
    uint64_t offset = 0;
    size_t data_bytes = 64;

    std::vector<std::byte> bytes() const {
        ByteBuilder out = preamble(1, 0);
        out.put_text(name).put(static_cast<uint32_t>(ne.size()));
        for (const int64_t extent : ne) {
            out.put(extent);
        }
        out.put(type).put(offset).pad_to_multiple(32);
        return out.put_bytes(std::vector<std::byte>(data_bytes)).bytes();
    }
};

std::string refusal(std::span<const std::byte> bytes) {
    const auto file = GgufFile::parse(bytes);
    EXPECT_FALSE(file.has_value());
    return file ? "accepted" : file.error().message;
}

TEST(Gguf, ReadsEveryKindOfScalar) {
    GgufWriter writer;
    writer.add_u32("a.u32", 7).add_u64("a.u64", 1ull << 40).add_f32("a.f32", 0.5f);
    writer.add_bool("a.bool", true).add_text("a.text", "weir");
    const auto bytes = writer.finish();
    const auto file = GgufFile::parse(bytes);
    ASSERT_TRUE(file.has_value()) << file.error().message;
    EXPECT_EQ(file->find_unsigned("a.u32").value(), 7u);
    EXPECT_EQ(file->find_unsigned("a.u64").value(), 1ull << 40);
    EXPECT_EQ(file->find_number("a.f32").value(), 0.5);
    EXPECT_EQ(file->find_number("a.u32").value(), 7.0);
    EXPECT_EQ(file->find_bool("a.bool").value(), true);
    EXPECT_EQ(file->find_text("a.text").value(), "weir");
    EXPECT_EQ(file->find_text("absent").value(), std::nullopt);
}

TEST(Gguf, ReadsArrays) {
    const std::vector<std::string> texts = {"a", "", "ccc"};
    const std::vector<float> floats = {1.5f, -2.0f};
    const std::vector<int32_t> ints = {1, 6};
    GgufWriter writer;
    writer.add_texts("texts", texts).add_floats("floats", floats).add_ints("ints", ints);
    const auto bytes = writer.finish();
    const auto file = GgufFile::parse(bytes);
    ASSERT_TRUE(file.has_value()) << file.error().message;
    EXPECT_THAT(file->find_texts("texts").value(), ElementsAre("a", "", "ccc"));
    EXPECT_THAT(file->find_floats("floats").value(), ElementsAre(1.5f, -2.0f));
    EXPECT_THAT(file->find_ints("ints").value(), ElementsAre(1, 6));
    EXPECT_THAT(file->find_unsigneds("ints").value(), ElementsAre(1u, 6u));
    EXPECT_THAT(file->find_texts("absent").value(), ElementsAre());
}

TEST(Gguf, PlacesTensorsInTheData) {
    const std::vector<float> first = {1, 2, 3, 4, 5, 6};
    const std::vector<float> second = {7};
    const uint64_t matrix[] = {2, 3};
    const uint64_t vector[] = {1};
    GgufWriter writer;
    writer.add_tensor("z", matrix, kF32, std::as_bytes(std::span(first)));
    writer.add_tensor("a", vector, kF32, std::as_bytes(std::span(second)));
    const auto bytes = writer.finish();
    const auto file = GgufFile::parse(bytes);
    ASSERT_TRUE(file.has_value()) << file.error().message;
    const GgufTensor* z = file->find_tensor("z");
    ASSERT_NE(z, nullptr);
    EXPECT_THAT(z->ne, ElementsAre(3, 2, 1, 1));
    EXPECT_EQ(std::memcmp(z->bytes.data(), first.data(), z->bytes.size()), 0);
    EXPECT_EQ(file->find_tensor("a")->bytes.size(), 4u);
    EXPECT_EQ(file->find_tensor("b"), nullptr);
}

TEST(Gguf, ReadsVersionTwo) {
    EXPECT_TRUE(GgufFile::parse(preamble(0, 0, 2).bytes()).has_value());
}

TEST(Gguf, RefusesOtherVersionsByName) {
    EXPECT_THAT(refusal(preamble(0, 0, 1).bytes()), HasSubstr("version 1"));
    EXPECT_THAT(refusal(preamble(0, 0, 0x03000000).bytes()), HasSubstr("big-endian"));
}

TEST(Gguf, RefusesAForeignFile) {
    EXPECT_THAT(refusal(ByteBuilder().put_raw("PK\x03\x04 and more bytes").bytes()),
                HasSubstr("GGUF"));
}

TEST(Gguf, EveryPrefixOfAFileIsRefused) {
    const uint64_t shape[] = {4};
    const std::vector<float> values = {1, 2, 3, 4};
    GgufWriter writer;
    writer.add_text("k", "v").add_u32("n", 1);
    writer.add_tensor("t", shape, kF32, std::as_bytes(std::span(values)));
    const auto bytes = writer.finish();
    const size_t needed = bytes.size() - 16;  // the last 16 bytes are padding
    for (size_t size = 0; size < needed; ++size) {
        EXPECT_FALSE(GgufFile::parse(std::span(bytes).first(size)).has_value()) << size;
    }
    EXPECT_TRUE(GgufFile::parse(std::span(bytes).first(needed)).has_value());
}

TEST(Gguf, MF1_ProductOfDimensionsThatWraps) {
    OneTensor wraps;
    wraps.ne = {(int64_t{1} << 42) + 1, int64_t{1} << 42};
    EXPECT_THAT(refusal(wraps.bytes()), HasSubstr("tensor t"));
    wraps.ne = {int64_t{1} << 31, int64_t{1} << 31, 4};  // 2^64 elements: wraps to none
    EXPECT_THAT(refusal(wraps.bytes()), HasSubstr("tensor t"));
    wraps.ne = {int64_t{1} << 62};  // elements can be counted, bytes cannot
    EXPECT_THAT(refusal(wraps.bytes()), HasSubstr("tensor t"));
}

TEST(Gguf, MF2_DimensionsThatAreZeroNegativeOrTooMany) {
    OneTensor tensor;
    tensor.ne = {0};
    EXPECT_THAT(refusal(tensor.bytes()), HasSubstr("tensor t: dimension 0 is 0"));
    tensor.ne = {4, -1};
    EXPECT_THAT(refusal(tensor.bytes()), HasSubstr("tensor t: dimension 1 is -1"));
    tensor.ne = {std::numeric_limits<int64_t>::min()};
    EXPECT_THAT(refusal(tensor.bytes()),
                HasSubstr("tensor t: dimension 0 is -9223372036854775808"));
    tensor.ne = {1, 1, 1, 1, 1};
    EXPECT_THAT(refusal(tensor.bytes()), HasSubstr("tensor t: 5 dimensions"));
    tensor.ne = {};
    EXPECT_THAT(refusal(tensor.bytes()), HasSubstr("tensor t: 0 dimensions"));
}

TEST(Gguf, MF3_StringLongerThanTheFile) {
    ByteBuilder file = preamble(0, 1);
    file.put_text("k").put(static_cast<uint32_t>(GgufValueType::String)).put(uint64_t{1} << 63);
    EXPECT_THAT(refusal(file.bytes()), HasSubstr("key k"));
}

TEST(Gguf, MF3_ArrayLongerThanTheFile) {
    for (const auto element : {GgufValueType::U8, GgufValueType::F64, GgufValueType::String}) {
        ByteBuilder file = preamble(0, 1);
        file.put_text("k").put(static_cast<uint32_t>(GgufValueType::Array));
        file.put(static_cast<uint32_t>(element)).put((uint64_t{1} << 63) + 1);
        EXPECT_THAT(refusal(file.bytes()), HasSubstr("key k"));
    }
}

TEST(Gguf, MF3_CountsBeyondTheFile) {
    EXPECT_THAT(refusal(preamble(0, uint64_t{1} << 60).bytes()), HasSubstr("metadata entries"));
    EXPECT_THAT(refusal(preamble(uint64_t{1} << 60, 0).bytes()), HasSubstr("tensors"));
}

// A sparse file is as large as it likes to be: its size alone is no limit for what is reserved.
TEST(Gguf, MF3_CountsBeyondTheirLimitsInALargeFile) {
    const auto padded_with = [](const ByteBuilder& head, uint64_t zeros) {
        std::vector<std::byte> bytes = head.bytes();
        bytes.resize(bytes.size() + zeros);
        return bytes;
    };
    EXPECT_THAT(refusal(padded_with(preamble(0, kGgufEntriesMax + 1), 16 * kGgufEntriesMax)),
                HasSubstr("65537 metadata entries are announced; up to 65536 are read"));
    EXPECT_THAT(refusal(padded_with(preamble(kGgufTensorsMax + 1, 0), 40 * kGgufTensorsMax)),
                HasSubstr("131073 tensors are announced"));
    ByteBuilder array = preamble(0, 1);
    array.put_text("k").put(static_cast<uint32_t>(GgufValueType::Array));
    array.put(static_cast<uint32_t>(GgufValueType::U8)).put(kGgufArrayElementsMax + 1);
    EXPECT_THAT(refusal(padded_with(array, kGgufArrayElementsMax + 1)),
                HasSubstr("key k: 16777217 elements are announced"));
    ByteBuilder text = preamble(0, 1);
    text.put_text("k").put(static_cast<uint32_t>(GgufValueType::String)).put(kGgufTextBytesMax + 1);
    EXPECT_THAT(refusal(padded_with(text, kGgufTextBytesMax + 1)),
                HasSubstr("key k: 67108865 bytes are announced"));
}

TEST(Gguf, MF3_KeyLongerThanTheFile) {
    ByteBuilder file = preamble(0, 1);
    file.put(uint64_t{30000}).put_raw("only this is there");
    EXPECT_FALSE(GgufFile::parse(file.bytes()).has_value());
}

TEST(Gguf, MF4_AlignmentMustBeASmallPowerOfTwo) {
    for (const uint32_t alignment : {0u, 3u, 48u, 1u << 17, 1u << 30, 0xffffffffu}) {
        GgufWriter writer;
        writer.add_u32("general.alignment", alignment);
        EXPECT_THAT(refusal(writer.finish()), HasSubstr("general.alignment")) << alignment;
    }
    GgufWriter wrong_type;
    wrong_type.add_u64("general.alignment", 32);
    EXPECT_THAT(refusal(wrong_type.finish()), HasSubstr("general.alignment"));
    GgufWriter text;
    text.add_text("general.alignment", "32");
    EXPECT_THAT(refusal(text.finish()), HasSubstr("general.alignment"));
    GgufWriter largest;
    largest.add_u32("general.alignment", 1u << 16);
    EXPECT_TRUE(GgufFile::parse(largest.finish()).has_value());
}

TEST(Gguf, AlignmentMovesTheData) {
    ByteBuilder file = preamble(1, 1);
    file.put_text("general.alignment").put(static_cast<uint32_t>(GgufValueType::U32)).put(128u);
    file.put_text("t").put(1u).put(int64_t{1}).put(kF32).put(uint64_t{0});
    file.pad_to_multiple(128).put(42.0f);
    const auto parsed = GgufFile::parse(file.bytes());
    ASSERT_TRUE(parsed.has_value()) << parsed.error().message;
    float value = 0;
    std::memcpy(&value, parsed->find_tensor("t")->bytes.data(), sizeof value);
    EXPECT_EQ(value, 42.0f);
}

TEST(Gguf, MF5_ArrayOfANarrowerElementType) {
    ByteBuilder bytes_array;
    bytes_array.put(static_cast<uint32_t>(GgufValueType::U8)).put(uint64_t{4}).put(0u);
    GgufWriter writer;
    writer.add_raw("scores", GgufValueType::Array, bytes_array);
    const auto bytes = writer.finish();
    const auto file = GgufFile::parse(bytes);
    ASSERT_TRUE(file.has_value()) << file.error().message;
    EXPECT_THAT(file->find_floats("scores").error().message, HasSubstr("key scores"));
    EXPECT_THAT(file->find_ints("scores").error().message, HasSubstr("array of u8"));
    EXPECT_THAT(file->find_texts("scores").error().message, HasSubstr("key scores"));
}

TEST(Gguf, MF8_TensorPastTheEnd) {
    OneTensor tensor;
    tensor.ne = {1024};
    EXPECT_THAT(refusal(tensor.bytes()), HasSubstr("tensor t: needs"));
}

TEST(Gguf, MF8_TensorAtAnotherPlaceThanFollows) {
    for (const uint64_t offset :
         {uint64_t{32}, uint64_t{1}, std::numeric_limits<uint64_t>::max()}) {
        OneTensor tensor;
        tensor.offset = offset;
        EXPECT_THAT(refusal(tensor.bytes()), HasSubstr("tensor t: offset")) << offset;
    }
}

TEST(Gguf, MF8_OverlappingTensors) {
    ByteBuilder file = preamble(2, 0);
    for (const char* name : {"a", "b"}) {
        file.put_text(name).put(1u).put(int64_t{8}).put(kF32).put(uint64_t{0});
    }
    file.pad_to_multiple(32).put_bytes(std::vector<std::byte>(64));
    EXPECT_THAT(refusal(file.bytes()), HasSubstr("tensor b: offset 0 where 32"));
}

TEST(Gguf, MF9_DuplicateKeysAndNames) {
    GgufWriter keys;
    keys.add_u32("k", 1).add_u32("k", 2);
    EXPECT_THAT(refusal(keys.finish()), HasSubstr("key k occurs twice"));

    const uint64_t shape[] = {1};
    const std::vector<float> value = {1};
    GgufWriter names;
    names.add_tensor("t", shape, kF32, std::as_bytes(std::span(value)));
    names.add_tensor("t", shape, kF32, std::as_bytes(std::span(value)));
    EXPECT_THAT(refusal(names.finish()), HasSubstr("tensor t occurs twice"));
}

TEST(Gguf, MF9_NamesThatAreNoText) {
    for (const std::string& name :
         {std::string(), std::string("a\0b", 3), std::string("\x1b[2J"), std::string("\xff"),
          std::string("\xc0\x80"), std::string(64, 'n')}) {
        OneTensor tensor;
        tensor.name = name;
        EXPECT_THAT(refusal(tensor.bytes()), HasSubstr("tensor name"));
        if (name.size() < 64) {
            GgufWriter writer;
            writer.add_u32(name, 1);
            EXPECT_THAT(refusal(writer.finish()), HasSubstr("metadata key"));
        }
    }
}

TEST(Gguf, TypesThatDoNotExistAreRefused) {
    for (const uint32_t type : {4u, 5u, 31u, 36u, 97u, 0xffffffffu}) {
        OneTensor tensor;
        tensor.type = type;
        EXPECT_THAT(refusal(tensor.bytes()), HasSubstr("tensor t: tensor type")) << type;
    }
    ByteBuilder file = preamble(0, 1);
    file.put_text("k").put(13u).put(uint64_t{0});
    EXPECT_THAT(refusal(file.bytes()), HasSubstr("key k: value type 13"));
}

TEST(Gguf, RowsMustBeWholeBlocks) {
    OneTensor tensor;
    tensor.type = 8;  // Q8_0
    tensor.ne = {33};
    EXPECT_THAT(refusal(tensor.bytes()), HasSubstr("no whole Q8_0 blocks"));
}

TEST(Gguf, NestedArraysAreRefused) {
    ByteBuilder nested;
    nested.put(static_cast<uint32_t>(GgufValueType::Array)).put(uint64_t{1});
    nested.put(uint32_t{0}).put(uint64_t{0});
    GgufWriter writer;
    writer.add_raw("k", GgufValueType::Array, nested);
    EXPECT_THAT(refusal(writer.finish()), HasSubstr("key k: arrays of arrays"));
}

TEST(Gguf, WrongTypesNameTheKey) {
    GgufWriter writer;
    writer.add_text("text", "x").add_u32("number", 3);
    writer.add_f32("nan", std::numeric_limits<float>::quiet_NaN());
    writer.add_raw("negative", GgufValueType::I32, ByteBuilder().put(int32_t{-1}));
    writer.add_text("bad_utf8", "\xff");
    const auto bytes = writer.finish();
    const auto file = GgufFile::parse(bytes);
    ASSERT_TRUE(file.has_value()) << file.error().message;
    EXPECT_THAT(file->find_unsigned("text").error().message, HasSubstr("key text"));
    EXPECT_THAT(file->find_text("number").error().message, HasSubstr("found u32"));
    EXPECT_THAT(file->find_bool("number").error().message, HasSubstr("key number"));
    EXPECT_THAT(file->find_number("nan").error().message, HasSubstr("key nan"));
    EXPECT_THAT(file->find_unsigned("negative").error().message, HasSubstr("key negative"));
    EXPECT_THAT(file->find_text("bad_utf8").error().message, HasSubstr("key bad_utf8"));
}

// Two parts of one model, the second with what `second_count` and `second_number` say.
struct SplitModel {
    uint32_t second_count = 2;
    uint32_t second_number = 1;
    uint32_t tensors = 2;

    std::filesystem::path write(const TemporaryFolder& folder) const {
        const uint64_t shape[] = {1};
        const std::vector<float> value = {1};
        GgufWriter first;
        first.add_text("general.architecture", "llama");
        first.add_u32("split.no", 0).add_u32("split.count", 2);
        first.add_u32("split.tensors.count", tensors);
        first.add_tensor("a", shape, kF32, std::as_bytes(std::span(value)));
        GgufWriter second;
        second.add_u32("split.no", second_number).add_u32("split.count", second_count);
        second.add_tensor("b", shape, kF32, std::as_bytes(std::span(value)));
        folder.write("m-00001-of-00002.gguf", first.finish());
        return folder.write("m-00002-of-00002.gguf", second.finish());
    }
};

TEST(Gguf, AnyPartOpensTheWholeSplitModel) {
    const TemporaryFolder folder;
    const auto second = SplitModel().write(folder);
    const auto file = GgufFile::open(second);
    ASSERT_TRUE(file.has_value()) << file.error().message;
    EXPECT_EQ(file->tensors().size(), 2u);
    EXPECT_EQ(file->find_text("general.architecture").value(), "llama");
}

TEST(Gguf, PartsThatDoNotBelongTogetherAreRefused) {
    const TemporaryFolder folder;
    EXPECT_THAT(GgufFile::open(SplitModel{.second_count = 3}.write(folder)).error().message,
                HasSubstr("split.count"));
    EXPECT_THAT(GgufFile::open(SplitModel{.second_number = 0}.write(folder)).error().message,
                HasSubstr("split.no"));
    EXPECT_THAT(GgufFile::open(SplitModel{.tensors = 3}.write(folder)).error().message,
                HasSubstr("split.tensors.count"));
}

TEST(Gguf, AMissingPartIsNamed) {
    const TemporaryFolder folder;
    const auto second = SplitModel().write(folder);
    std::filesystem::remove(folder.path() / "m-00001-of-00002.gguf");
    EXPECT_THAT(GgufFile::open(second).error().message, HasSubstr("m-00001-of-00002.gguf"));
}

TEST(Gguf, APartAloneInMemoryIsRefused) {
    GgufWriter writer;
    writer.add_u32("split.count", 2);
    EXPECT_THAT(refusal(writer.finish()), HasSubstr("2 parts"));
}

// Flips of single bytes anywhere in a small file: refused or read, never worse (with sanitizers
// this is the smallest fuzzer there is).
TEST(Gguf, EveryFlippedByteIsReadOrRefused) {
    const std::vector<std::string> texts = {"a", "b"};
    const uint64_t shape[] = {2, 2};
    const std::vector<float> values = {1, 2, 3, 4};
    GgufWriter writer;
    writer.add_u32("general.alignment", 32).add_texts("k", texts);
    writer.add_tensor("t", shape, kF32, std::as_bytes(std::span(values)));
    const auto original = writer.finish();
    for (size_t at = 0; at < original.size(); ++at) {
        for (const int flip : {0x01, 0x80, 0xff}) {
            auto bytes = original;
            bytes[at] ^= static_cast<std::byte>(flip);
            const auto file = GgufFile::parse(bytes);
            if (!file) {
                EXPECT_FALSE(file.error().message.empty());
                continue;
            }
            for (const GgufTensor& tensor : file->tensors()) {
                EXPECT_LE(tensor.bytes.data() + tensor.bytes.size(), bytes.data() + bytes.size());
            }
        }
    }
}

}  // namespace
}  // namespace weir::model
