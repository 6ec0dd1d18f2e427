#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <concepts>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <string>
#include <type_traits>

#include "base/bytes.h"
#include "base/failpoint.h"
#include "base/file.h"
#include "base/result.h"
#include "base/secret.h"

namespace weir {
namespace {

template <typename T>
concept Streamable = requires(std::ostream& out, const T& value) { out << value; };

static_assert(!Streamable<Secret> && Streamable<std::string_view>);
static_assert(!fmt::is_formattable<Secret>::value);
static_assert(!std::is_convertible_v<Secret, std::string> &&
              !std::is_convertible_v<Secret, std::string_view>);
static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
static_assert(!std::equality_comparable<Secret>);  // a comparison takes as long as it is right
static_assert(!std::is_convertible_v<std::string, Secret>);

TEST(Secret, IsWhatItWasMadeOfAndHasOneHolder) {
    Secret first("sk-1");
    Secret second = std::move(first);
    EXPECT_TRUE(first.empty());
    EXPECT_EQ(second.reveal(), "sk-1");
    first = std::move(second);
    EXPECT_TRUE(second.reveal().empty());
    EXPECT_EQ(first.reveal(), "sk-1");
    first = Secret();
    EXPECT_TRUE(first.empty());
}

Result<int> half(int number) {
    if (number % 2 != 0) {
        return invalid_argument("number", "{} is odd", number);
    }
    return number / 2;
}

Result<int> quarter(int number) {
    WEIR_TRY_ASSIGN(const int once, half(number));
    WEIR_TRY_ASSIGN(const int twice, half(once));
    return twice;
}

TEST(Result, AnErrorTravelsUpWithItsField) {
    EXPECT_EQ(quarter(8).value(), 2);
    const Result<int> odd = quarter(6);
    ASSERT_FALSE(odd);
    EXPECT_EQ(odd.error().message, "3 is odd");
    EXPECT_EQ(odd.error().field, "number");
}

TEST(ByteReader, RefusesToReadPastTheEnd) {
    const std::array<std::byte, 5> bytes{std::byte{1}, std::byte{0}, std::byte{0}, std::byte{0},
                                         std::byte{9}};
    ByteReader in(bytes);
    EXPECT_EQ(in.read<uint32_t>().value(), 1u);
    EXPECT_FALSE(in.read<uint32_t>());
    EXPECT_FALSE(in.read_bytes(uint64_t{1} << 63));
    EXPECT_EQ(in.read<uint8_t>().value(), 9u);
}

TEST(File, APipeIsRefusedAndNotWaitedFor) {
    const auto path = std::filesystem::path(::testing::TempDir()) / "weir_base_pipe";
    std::filesystem::remove(path);
    ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
    EXPECT_EQ(read_file(path, 100).error().code, ErrorCode::InvalidArgument);
    EXPECT_EQ(MappedFile::open(path).error().code, ErrorCode::InvalidArgument);
    std::filesystem::remove(path);
}

TEST(MappedFile, ShowsTheBytesAndRefusesFoldersAndEmptyFiles) {
    const auto folder = std::filesystem::temp_directory_path() / "weir_base_test";
    std::filesystem::create_directories(folder);
    ASSERT_TRUE(write_file_atomically(folder / "a", "hello"));
    const auto mapped = MappedFile::open(folder / "a");
    ASSERT_TRUE(mapped);
    EXPECT_EQ(mapped->bytes().size(), 5u);
    EXPECT_EQ(read_file(folder / "a", 5).value(), "hello");
    EXPECT_EQ(read_file(folder / "a", 4).error().code, ErrorCode::TooLarge);
    EXPECT_FALSE(MappedFile::open(folder));
    EXPECT_EQ(MappedFile::open(folder / "none").error().code, ErrorCode::NotFound);
    std::filesystem::remove_all(folder);
}

TEST(Failpoint, IsArmedOnlyWhileItsObjectLives) {
    EXPECT_FALSE(failpoint_armed("x"));
    {
        const ArmedFailpoint armed("x");
        EXPECT_TRUE(failpoint_armed("x"));
    }
    EXPECT_FALSE(failpoint_armed("x"));
}

}  // namespace
}  // namespace weir
