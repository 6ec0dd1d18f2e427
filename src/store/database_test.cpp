#include "store/database.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <fstream>

namespace weir::store {
namespace {

constexpr std::array<Migration, 2> kSteps = {
    Migration{"first", "CREATE TABLE a (x BIGINT); CREATE TABLE b (y TEXT)"},
    Migration{"second", "ALTER TABLE a ADD COLUMN z TEXT"},
};

class OnDisk : public ::testing::Test {
  protected:
    void SetUp() override {
        folder_ =
            std::filesystem::temp_directory_path() / ("weir_store_" + std::to_string(::getpid()));
        std::filesystem::create_directories(folder_);
    }
    void TearDown() override { std::filesystem::remove_all(folder_); }
    std::filesystem::path path() const { return folder_ / "w.db"; }

  private:
    std::filesystem::path folder_;
};

TEST(Database, ValuesComeBackAndAreNeverSql) {
    const auto database = *open_memory();
    ASSERT_TRUE(database->query("CREATE TABLE t (a BIGINT, b TEXT, c TEXT)"));
    const std::string hostile = "'); DROP TABLE t; --";
    const std::array<Value, 3> values = {Value(int64_t{-5}), Value(hostile), Value(nullptr)};
    ASSERT_TRUE(database->query("INSERT INTO t VALUES ($1, $2, $3)", values));
    const auto rows = database->query("SELECT a, b, c FROM t");
    ASSERT_TRUE(rows);
    EXPECT_EQ(rows->at(0), Row(values.begin(), values.end()));
    EXPECT_FALSE(database->query("SELEC"));
}

TEST(Database, MigrationsRunOnceAndANewerSchemaIsRefused) {
    const auto database = *open_memory();
    ASSERT_TRUE(database->migrate("s", std::span(kSteps).first(1)));
    ASSERT_TRUE(database->migrate("s", kSteps));
    ASSERT_TRUE(database->migrate("s", kSteps));
    EXPECT_TRUE(database->query("SELECT z FROM a"));
    const auto older = database->migrate("s", std::span(kSteps).first(1));
    ASSERT_FALSE(older);
    EXPECT_EQ(older.error().code, ErrorCode::Unsupported);
}

TEST(Database, AFailedMigrationLeavesNothingBehind) {
    const auto database = *open_memory();
    const std::array<Migration, 1> broken = {
        Migration{"broken", "CREATE TABLE half (x BIGINT); CREATE TABEL other (y TEXT)"}};
    EXPECT_FALSE(database->migrate("s", broken));
    EXPECT_FALSE(database->query("SELECT * FROM half"));
}

TEST(Database, RollingBackTwiceIsRollingBackOnce) {
    const auto database = *open_memory();
    ASSERT_TRUE(database->query("CREATE TABLE t (a BIGINT UNIQUE)"));
    ASSERT_TRUE(database->begin());
    ASSERT_TRUE(database->query("INSERT INTO t VALUES (1)"));
    EXPECT_TRUE(database->roll_back());
    EXPECT_TRUE(database->roll_back());
    EXPECT_TRUE(database->query("SELECT a FROM t")->empty());
}

TEST(Database, SaysWhetherTheRowOrTheDiskIsAtFault) {
    const auto database = *open_memory();
    ASSERT_TRUE(database->query("CREATE TABLE t (a TEXT UNIQUE); INSERT INTO t VALUES ('x')"));
    EXPECT_EQ(database->query("INSERT INTO t VALUES ('x')").error().code,
              ErrorCode::InvalidArgument);
    ASSERT_TRUE(database->query("PRAGMA max_page_count = 1"));
    const std::array<Value, 1> long_text = {Value(std::string(100'000, 'y'))};
    EXPECT_EQ(database->query("INSERT INTO t VALUES ($1)", long_text).error().code,
              ErrorCode::ResourceExhausted);
}

TEST_F(OnDisk, CommittedRowsSurviveKill) {
    const pid_t child = ::fork();
    if (child == 0) {
        const auto database = open_sqlite(path());
        const bool done = database && (*database)->query("CREATE TABLE t (a BIGINT)") &&
                          (*database)->begin() && (*database)->query("INSERT INTO t VALUES (7)") &&
                          (*database)->commit();
        ::kill(::getpid(), done ? SIGKILL : SIGTERM);
    }
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_EQ(WTERMSIG(status), SIGKILL);
    const auto database = open_sqlite(path());
    ASSERT_TRUE(database);
    EXPECT_EQ((*database)->query("SELECT a FROM t")->at(0).at(0), Value(int64_t{7}));
}

TEST_F(OnDisk, AFileThatIsNoDatabaseIsRefusedAndKept) {
    std::ofstream(path()) << std::string(4096, 'x');
    const auto database = open_sqlite(path());
    ASSERT_FALSE(database);
    EXPECT_EQ(database.error().code, ErrorCode::DataCorrupt);
    EXPECT_EQ(std::filesystem::file_size(path()), 4096u);
}

}  // namespace
}  // namespace weir::store
