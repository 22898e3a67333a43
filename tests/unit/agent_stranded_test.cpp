#include <doctest/doctest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/binlog_args.h"
#include "agent/positions.h"
#include "agent/stranded_report.h"
#include "agent/stranded_text.h"

using namespace ringagent;

namespace {

const TableName kOrders{"shop", "orders"};
const TableName kLog{"shop", "log"};
const TableName kSecret{"shop", "secret"};

// orders (id primary, mail unique and of a collation without case, v); log has no key; secret may not be looked at.
TableKeys keys(const TableName& table) {
  if (table == kOrders) return {true, {{"PRIMARY", {{1, "id", false}}}, {"mail", {{2, "mail", true}}}}};
  return {table == kLog, {}};
}

GtidSet set(const std::string& text, Flavor flavor = Flavor::mariadb) {
  return *GtidSet::parse(flavor, text);
}

using Image = std::map<unsigned, std::string>;

struct Scene {
  StrandedReader reader;
  explicit Scene(const std::string& stranded = "3-3-107..109", Flavor flavor = Flavor::mariadb,
                 const std::string& executed = "1-1-200,3-3-109")
      : reader(set(stranded, flavor), set(executed, flavor), flavor, keys) {}

  void begin(const std::string& gtid) { reader.transaction({gtid, "2026-11-26 05:55:29", "bin.000007", 1234}); }
  void insert(const TableName& table, const Image& after) { reader.row({table, RowChange::inserted, {}, after}); }
  void update(const TableName& table, const Image& before, const Image& after) {
    reader.row({table, RowChange::updated, before, after});
  }
  void remove(const TableName& table, const Image& before) { reader.row({table, RowChange::removed, before, {}}); }
  std::string met() {
    std::string out;
    for (const RowConflict& c : reader.report().conflicts)
      out += (out.empty() ? "" : "; ") + c.key + " in " + c.gtid + " and " + c.ring_gtid;
    return out;
  }
  std::string verdict() { return reader.report().verdict().second; }
};

}  // namespace

TEST_CASE("stranded: what the ring changed after a stranded change meets it, what came before does not") {
  Scene s;
  s.begin("1-1-150");
  s.update(kOrders, {{1, "1"}, {2, "'a'"}}, {{1, "1"}, {2, "'b'"}});  // the node had that before it wrote
  s.begin("3-3-106");
  s.update(kOrders, {{1, "5"}, {2, "'e'"}}, {{1, "5"}, {2, "'f'"}});  // not stranded
  s.begin("3-3-107");
  s.update(kOrders, {{1, "1"}, {2, "'b'"}}, {{1, "1"}, {2, "'c'"}});
  s.begin("1-1-151");
  s.update(kOrders, {{1, "2"}, {2, "'x'"}}, {{1, "2"}, {2, "'y'"}});  // its author did not know 107; 108 did know it
  s.begin("3-3-108");
  s.update(kOrders, {{1, "2"}, {2, "'y'"}}, {{1, "2"}, {2, "'z'"}});
  CHECK(s.met() == "");
  CHECK(s.reader.report().row_count() == 2);
  CHECK(s.reader.report().ring_transactions == 1);
  s.begin("1-1-152");
  s.remove(kOrders, {{1, "1"}, {2, "'b'"}});
  s.remove(kOrders, {{1, "1"}, {2, "'b'"}});
  CHECK(s.met() == "id=1 in 3-3-107 and 1-1-152");
  CHECK(s.verdict() ==
        "1 row was changed by the ring since: replaying would overwrite it or stop with error 1062 or 1032");
}

TEST_CASE("stranded: of the ring's own log only what the node lacks counts") {
  Scene s;
  s.begin("3-3-107");
  s.insert(kOrders, {{1, "7"}, {2, "'Bob'"}, {3, "1"}});
  s.reader.now_the_ring();
  s.begin("1-1-200");
  s.insert(kOrders,
           {{1, "7"}, {2, "'x'"}, {3, "1"}});  // the node has it: it was compared there, where it came before 107
  CHECK(s.met() == "");
  s.begin("3-3-108");
  s.begin("1-1-201");
  s.insert(kOrders, {{1, "8"}, {2, "'BOB'"}, {3, "1"}});
  CHECK(s.met() == "mail='BOB' in 3-3-107 and 1-1-201");  // another unique key, whatever the case
  s.begin("1-1-202");
  s.insert(kOrders, {{1, "7"}, {2, "NULL"}, {3, "1"}});
  CHECK(s.reader.report().conflicts.size() == 1);  // the same row is told once
}

TEST_CASE("stranded: keys before and after a change, and images that leave columns out") {
  Scene s;
  s.begin("3-3-107");
  s.update(kOrders, {{1, "1"}}, {{1, "11"}});
  s.update(kOrders, {{1, "2"}}, {{3, "'v'"}});  // binlog_row_image=MINIMAL
  s.insert(kOrders, {{1, "3"}, {2, "NULL"}});
  s.begin("1-1-201");
  s.remove(kOrders, {{1, "1"}});
  s.insert(kOrders, {{1, "11"}});
  s.update(kOrders, {{1, "2"}}, {{3, "'w'"}});
  s.insert(kOrders, {{1, "4"}, {2, "NULL"}});  // NULL is no value that two could share
  CHECK(s.met() == "id=1 in 3-3-107 and 1-1-201; id=2 in 3-3-107 and 1-1-201");
}

TEST_CASE("stranded: tables without a known key are compared by whole rows, and it is said") {
  Scene s("3-3-107");
  s.reader.report().expected = 2;
  s.begin("3-3-107");
  s.insert(kLog, {{1, "1"}, {2, "'a'"}});
  s.insert(kSecret, {{1, std::string(5000, 'x')}});
  s.begin("1-1-201");
  s.remove(kLog, {{1, "1"}, {2, "'b'"}});
  CHECK(s.met() == "");
  CHECK(s.reader.report().by_whole_row == std::vector<TableName>{kLog});
  CHECK(s.reader.report().keys_not_known == std::vector<TableName>{kSecret});
  s.remove(kLog, {{1, "1"}, {2, "'a'"}});
  CHECK(s.met() == "@1=1, @2='a' in 3-3-107 and 1-1-201");
}

TEST_CASE("stranded: the verdict is only safe if everything could be compared") {
  const auto simple = [] {
    Scene s("3-3-107..107");
    s.begin("3-3-107");
    s.insert(kOrders, {{1, "1"}});
    return s;
  };
  Scene s = simple();
  CHECK(s.reader.report().verdict() ==
        std::pair(true, std::string("safe to replay: no row of theirs was changed by the ring since")));
  SUBCASE("a statement of the node") {
    s.reader.statement("shop", "TRUNCATE log");
  }
  SUBCASE("a statement of the ring") {
    s.begin("1-1-201");
    s.reader.statement("shop", "ALTER TABLE orders ADD x INT");
    CHECK(s.reader.report().ring_statements.size() == 1);
  }
  SUBCASE("the ring's log is gone") {
    s.reader.report().incomplete = "db1 has purged changes that db3 never got";
  }
  SUBCASE("one is missing in the log") {
    s.reader.report().expected = 2;
  }
  SUBCASE("a table without a key") {
    s.insert(kLog, {{1, "1"}});
  }
  const auto [safe, text] = s.reader.report().verdict();
  CHECK_FALSE(safe);
  CHECK(text.starts_with("no row of theirs was seen to be changed by the ring since, but judge yourself: "));
}

TEST_CASE("stranded: none left in the log, and none at all") {
  CHECK(Scene().verdict() ==
        "none of the stranded transactions stands in its binary logs any more: nothing can be replayed");
  CHECK(StrandedReport{}.verdict() == std::pair(true, std::string("nothing is stranded")));
}

TEST_CASE("stranded: MySQL's names, with and without a tag") {
  const std::string own = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
  const std::string other = "4e11fa47-71ca-11e1-9e33-c80aa9429562";
  Scene s(own + ":8:nightly:3", Flavor::mysql, own + ":1-8:nightly:1-3," + other + ":1-50");
  s.begin(own + ":7");
  s.insert(kOrders, {{1, "1"}});
  s.begin(own + ":8");
  s.insert(kOrders, {{1, "2"}});
  s.begin(own + ":nightly:3");
  s.insert(kOrders, {{1, "3"}});
  s.begin(own + ":nightly:2");
  s.insert(kOrders, {{1, "2"}});  // its own, however late it stands there
  CHECK(s.met() == "");
  s.begin(other + ":49");
  s.update(kOrders, {{1, "3"}}, {{1, "4"}});
  CHECK(s.met() == "id=3 in " + own + ":nightly:3 and " + other + ":49");
  CHECK(s.reader.report().transactions.size() == 2);
}

TEST_CASE("stranded: what people and programs see") {
  Scene s;
  s.begin("3-3-107");
  for (int i = 0; i < 30; ++i) s.insert(kOrders, {{1, std::to_string(i)}});
  s.begin("3-3-108");
  s.reader.statement("shop", "DROP TABLE\n\x1b[31mold");
  s.begin("1-1-201");
  s.update(kOrders, {{1, "4"}}, {{1, "4"}});
  s.reader.statement("shop", "CREATE TABLE new (a INT)");
  const StrandedAbout about{"db3", "10.0.0.3:3306", "3-3-107..109", "db1", "repl"};
  const std::string text = stranded_text(about, s.reader.report());
  for (const char* part :
       {"db3 (10.0.0.3:3306) has 3 transactions that no other member has: 3-3-107..109\n",
        "3-3-107  2026-11-26 05:55:29 UTC  30 rows\n    inserted shop.orders id=0\n",
        "    ... and 10 more (--json has them)\n",
        "3-3-108  2026-11-26 05:55:29 UTC  1 statement\n    [shop] DROP TABLE  [31mold\n",
        "The ring since: 1 transaction that db3 did not know when it wrote these\n",
        "    shop.orders id=4: inserted on db3 in 3-3-107, updated by the ring in 1-1-201 (2026-11-26 05:55:29 UTC)\n",
        "    1-1-201 [shop] CREATE TABLE new (a INT)\n", "\n1 row was changed by the ring since: "}) {
    CHECK_MESSAGE(text.find(part) != std::string::npos, part << " in\n" << text);
  }
  const auto json = nlohmann::json::parse(stranded_json(about, s.reader.report()));
  CHECK(json["stranded_set"] == "3-3-107..109");
  CHECK(json["transactions"].size() == 2);
  CHECK(json["transactions"][0]["rows"].size() == 30);
  CHECK(json["transactions"][0]["position"] == 1234);
  CHECK(json["conflicts"][0]["key"] == "id=4");
  CHECK(json["ring"]["read_at"] == "db1");
  CHECK(json["safe"] == false);
}

TEST_CASE("stranded: the tool's words never hold the password") {
  BinlogServer server{Flavor::mysql, {"10.0.0.3", 3306}, "repl", "p\"a#ss\\", TlsMode::off, ""};
  BinlogRange range;
  range.all_but = "3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5";
  range.only = "4f22fb58-71ca-11e1-9e33-c80aa9429562:11-12";
  const auto has = [](const std::vector<std::string>& words, const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  };
  auto words = binlog_words(server, range, true, "/dev/fd/3");
  CHECK(words.front() == "--defaults-file=/dev/fd/3");
  CHECK(words.back().empty());  // wherever the first one stands
  CHECK(has(words, "--read-from-remote-source=BINLOG-DUMP-GTIDS"));
  CHECK(has(words, "--exclude-gtids=3e11fa47-71ca-11e1-9e33-c80aa9429562:1-5"));
  CHECK(has(words, "--include-gtids=4f22fb58-71ca-11e1-9e33-c80aa9429562:11-12"));
  CHECK(has(words, "--base64-output=decode-rows"));
  CHECK(has(words, "--ssl-mode=DISABLED"));
  for (const std::string& word : words) CHECK(word.find("ss\\") == std::string::npos);
  server = {Flavor::mariadb, {"10.0.0.3", 3306}, "repl", "x", TlsMode::verify_ca, "/ca.pem"};
  range = {"bin.000007", 1234, "", "", {3}, {3, 4}};
  words = binlog_words(server, range, false, "/dev/fd/3");
  CHECK(words.back() == "bin.000007");
  CHECK(has(words, "--do-domain-ids=3"));
  CHECK(has(words, "--do-server-ids=3,4"));
  CHECK(has(words, "--start-position=1234"));
  CHECK(has(words, "--ssl-ca=/ca.pem"));
  CHECK_FALSE(has(words, "--base64-output=decode-rows"));
  CHECK(option_file_text("p\"a#ss\\") == "[client]\npassword=\"p\\\"a#ss\\\\\"\n");
  CHECK(binlog_tool_missing(Flavor::mariadb).find("mariadb-client") != std::string::npos);
  CHECK(binlog_tool_missing(Flavor::mysql).find("mysql-server-core") != std::string::npos);
}

TEST_CASE("stranded: the exact set is what no other member has, of this server's own") {
  NodeRecord own;
  own.flavor = static_cast<std::uint8_t>(Flavor::mariadb);
  own.server_id = 3;
  own.executed = "1-1-100,2-2-200,3-3-121";
  NodeRecord a = own;
  a.server_id = 1;
  a.executed = "1-1-90,2-2-200,3-3-106";
  NodeRecord b = a;
  b.executed = "1-1-90,3-3-104";
  CHECK(own_missing_set(own, {&a, &b}) == "3-3-107..121");
  CHECK(own_missing_elsewhere(own, {&a, &b}) == 15);
  CHECK(own_missing_set(own, {&own}).empty());
  own.flavor = a.flavor = static_cast<std::uint8_t>(Flavor::mysql);
  own.server_uuid = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
  own.executed = own.server_uuid + ":1-9:nightly:1-2,4e11fa47-71ca-11e1-9e33-c80aa9429562:1-5";
  a.executed = own.server_uuid + ":1-4:6-7";
  CHECK(own_missing_set(own, {&a}) == own.server_uuid + ":5:8-9:nightly:1-2");
}
