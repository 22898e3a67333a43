#include <doctest/doctest.h>

#include <sstream>
#include <string>
#include <vector>

#include "agent/binlog_text.h"

using namespace ringagent;

namespace {

// What was read, a line each.
class Told : public BinlogSink {
 public:
  void transaction(const BinlogTransaction& t) override {
    lines.push_back(t.gtid + " " + t.time + " " + t.file + ":" + std::to_string(t.position));
  }
  void row(const BinlogRow& row) override {
    std::string line = std::string(to_string(row.change)) + " " + row.table.str();
    for (const auto& [number, value] : row.before) line += " -" + std::to_string(number) + "=" + value;
    for (const auto& [number, value] : row.after) line += " +" + std::to_string(number) + "=" + value;
    lines.push_back(line);
  }
  void statement(const std::string& schema, const std::string& text) override {
    lines.push_back("[" + schema + "] " + text);
  }
  std::vector<std::string> lines;
};

std::vector<std::string> told(Flavor flavor, const std::string& text) {
  Told sink;
  BinlogText reader(flavor, sink);
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) reader.line(line);
  reader.end();
  return sink.lines;
}

// mariadb-binlog 3.5 of a 10.11 server, --read-from-remote-server -v --base64-output=decode-rows, shortened.
constexpr const char* kMariadb = R"(/*!50530 SET @@SESSION.PSEUDO_SLAVE_MODE=1*/;
DELIMITER /*!*/;
# at 4
#700101  0:00:00 server id 2  end_log_pos 0 	Rotate to binlog.000001  pos: 4
# at 4
#261126  5:55:11 server id 2  end_log_pos 256 CRC32 0x94dffc6d 	Start: binlog v 4, server v 10.11.19-MariaDB-log created 261126  5:55:11 at startup
ROLLBACK/*!*/;
# at 256
#261126  5:55:11 server id 2  end_log_pos 285 CRC32 0x6a66ce3c 	Gtid list [1-1-1,
# 2-2-12]
# at 285
#261126  5:55:11 server id 2  end_log_pos 787 CRC32 0xa921bc57 	Binlog checkpoint binlog.000001
# at 787
#261126  5:55:28 server id 2  end_log_pos 829 CRC32 0x94c7f08b 	GTID 2-2-3 ddl
/*M!100101 SET @@session.skip_parallel_replication=0*//*!*/;
/*M!100001 SET @@session.gtid_seq_no=3*//*!*/;
# at 829
#261126  5:55:28 server id 2  end_log_pos 1395 CRC32 0x552657a1 	Query	thread_id=18	exec_time=0	error_code=0	xid=42
use `lab``load`/*!*/;
SET TIMESTAMP=1795672528/*!*/;
/*!\C utf8mb4 *//*!*/;
CREATE TABLE t1 (id INT PRIMARY KEY,
#261126  5:55:28 server id 9  end_log_pos 9 	GTID 9-9-9 trans
### INSERT INTO `not`.`a row`
  name VARCHAR(40))
/*!*/;
# at 1395
#261126  5:55:28 server id 2  end_log_pos 1437 CRC32 0x9af14635 	GTID 2-2-6 trans cid=7
/*M!100001 SET @@session.gtid_seq_no=6*//*!*/;
START TRANSACTION
/*!*/;
# at 1437
# at 1575
#261126  5:55:28 server id 2  end_log_pos 1575 CRC32 0x50397700 	Annotate_rows:
#Q> INSERT INTO t1 VALUES (1,'it''s')
#261126  5:55:28 server id 2  end_log_pos 1634 CRC32 0xb57f7d78 	Table_map: `labload`.`we ird``t` mapped to number 18
# at 1634
#261126  5:55:28 server id 2  end_log_pos 1723 CRC32 0xb1798753 	Write_rows: table id 18 flags: STMT_END_F
### INSERT INTO `labload`.`we ird``t`
### SET
###   @1=1
###   @2='it's\x0anew\ line, a=b'
###   @3=NULL
### INSERT INTO `labload`.`we ird``t`
### SET
###   @1=-1 (4294967295)
###   @2='### SET'
###   @3=5
# Number of rows: 2
# at 1723
#261126  5:55:28 server id 2  end_log_pos 1872 CRC32 0xcdc629bf 	Update_rows: table id 19 flags: STMT_END_F
### UPDATE `labload`.`t1`
### WHERE
###   @1=1
###   @2='a'
### SET
###   @1=1
###   @2='b'
### DELETE FROM `labload`.`t1`
### WHERE
###   @1=2
# Number of rows: 2
# at 1872
#261126  5:55:28 server id 2  end_log_pos 1903 CRC32 0x7cc1b139 	Xid = 46
COMMIT/*!*/;
# at 1903
#261126 15:58:26 server id 2  end_log_pos 3259 CRC32 0x484158db 	Rotate to binlog.000002  pos: 4
# at 3259
#700101  0:00:00 server id 2  end_log_pos 0 CRC32 0x7c10bd4a 	Rotate to binlog.000002  pos: 4
# at 3259
#261126 15:58:26 server id 2  end_log_pos 395 CRC32 0xbf4a2b38 	Start: binlog v 4, server v 10.11.19-MariaDB-log created 261126 15:58:26
# at 3398
#261126 15:58:26 server id 1  end_log_pos 437 CRC32 0x51ce68d2 	GTID 1-1-13 trans
START TRANSACTION
/*!*/;
# at 3440
#261126 15:58:26 server id 1  end_log_pos 506 CRC32 0xd6bb0ff6 	Query	thread_id=18	exec_time=0	error_code=0	xid=0
SET TIMESTAMP=1795672528/*!*/;
UPDATE t1 SET x=9 WHERE id=1
/*!*/;
# at 3500
#261126 15:58:26 server id 1  end_log_pos 640 CRC32 0xa0a2b847 	Xid = 67
COMMIT/*!*/;
DELIMITER ;
# End of log file
ROLLBACK /* added by mysqlbinlog */;
)";

// mysqlbinlog 9.7, --read-from-remote-source=BINLOG-DUMP-GTIDS --exclude-gtids=..., shortened.
constexpr const char* kMysql = R"(# The proper term is pseudo_replica_mode, but we use this compatibility alias
DELIMITER /*!*/;
# at 4
#700101  0:00:00 server id 2  end_log_pos 0 	Rotate to binlog.000001  pos: 4
# at 4
#261126  5:55:13 server id 2  end_log_pos 127 CRC32 0xfc1079f3 	Start: binlog v 4, server v 9.7.4-2 created 261126  5:55:13 at startup
ROLLBACK/*!*/;
# at 127
#261126  5:55:13 server id 2  end_log_pos 158 CRC32 0xbad27028 	Previous-GTIDs
# f1f4bc70-e95d-11f1-bfbf-02fc00000001:1-12,
# f1f7ed5a-e95d-11f1-a33e-02fc00000001:1
# at 158
#261126  5:55:29 server id 2  end_log_pos 235 CRC32 0xe0dcae84 	GTID	last_committed=2	sequence_number=3	rbr_only=no	original_committed_timestamp=1795672529129095
# original_commit_timestamp=1795672529129095 (2026-11-26 05:55:29.129095 UTC)
/*!80001 SET @@session.original_commit_timestamp=1795672529129095*//*!*/;
SET @@SESSION.GTID_NEXT= 'f1f4bc70-e95d-11f1-bfbf-02fc00000001:2'/*!*/;
# at 235
#261126  5:55:29 server id 2  end_log_pos 786 CRC32 0x69105ea3 	Query	thread_id=26	exec_time=0	error_code=0	Xid = 41
use `labload`/*!*/;
SET TIMESTAMP=1795672529/*!*/;
/*!80013 SET @@session.sql_require_primary_key=0*//*!*/;
ALTER TABLE nokey ADD COLUMN z INT
/*!*/;
# at 786
#261126  5:55:30 server id 2  end_log_pos 863 CRC32 0xc9cb63f2 	GTID	last_committed=6	sequence_number=9	rbr_only=yes
/*!50718 SET TRANSACTION ISOLATION LEVEL READ COMMITTED*//*!*/;
SET @@SESSION.GTID_NEXT= 'f1f4bc70-e95d-11f1-bfbf-02fc00000001:nightly:8'/*!*/;
# at 863
#261126  5:55:30 server id 2  end_log_pos 2184 CRC32 0x32ab114e 	Query	thread_id=26	exec_time=0	error_code=0
SET TIMESTAMP=1795672529/*!*/;
BEGIN
/*!*/;
# at 2184
#261126  5:55:30 server id 2  end_log_pos 2252 CRC32 0x936b1c16 	Table_map: `labload`.`t1` mapped to number 109
# has_generated_invisible_primary_key=0
# at 2252
#261126  5:55:30 server id 2  end_log_pos 2395 CRC32 0x8f6f7edd 	Update_rows: table id 109 flags: STMT_END_F USE_SQL_FOREIGN_KEY_F
### UPDATE `labload`.`t1`
### WHERE
###   @1=1
###   @2='it\'s\nnew\\ line'
### SET
###   @2='changed'
# at 2395
#261126  5:55:30 server id 2  end_log_pos 2426 CRC32 0x638bd7d0 	Xid = 48
COMMIT/*!*/;
SET @@SESSION.GTID_NEXT= 'AUTOMATIC' /* added by mysqlbinlog */ /*!*/;
DELIMITER ;
# End of log file
)";

}  // namespace

TEST_CASE("binlog text: what mariadb-binlog prints") {
  const std::string statement =
      "[lab`load] CREATE TABLE t1 (id INT PRIMARY KEY,\n"
      "#261126  5:55:28 server id 9  end_log_pos 9 \tGTID 9-9-9 trans\n"
      "### INSERT INTO `not`.`a row`\n"
      "  name VARCHAR(40))";
  CHECK(told(Flavor::mariadb, kMariadb) ==
        std::vector<std::string>{
            "2-2-3 2026-11-26 05:55:28 binlog.000001:787", statement, "2-2-6 2026-11-26 05:55:28 binlog.000001:1395",
            R"(inserted labload.we ird`t +1=1 +2='it's\x0anew\ line, a=b' +3=NULL)",
            "inserted labload.we ird`t +1=-1 (4294967295) +2='### SET' +3=5",
            "updated labload.t1 -1=1 -2='a' +1=1 +2='b'", "deleted labload.t1 -1=2",
            "1-1-13 2026-11-26 15:58:26 binlog.000002:395", "[lab`load] UPDATE t1 SET x=9 WHERE id=1"});
}

TEST_CASE("binlog text: what mysqlbinlog prints") {
  CHECK(told(Flavor::mysql, kMysql) ==
        std::vector<std::string>{"f1f4bc70-e95d-11f1-bfbf-02fc00000001:2 2026-11-26 05:55:29 binlog.000001:158",
                                 "[labload] ALTER TABLE nokey ADD COLUMN z INT",
                                 "f1f4bc70-e95d-11f1-bfbf-02fc00000001:nightly:8 2026-11-26 05:55:30 binlog.000001:786",
                                 R"(updated labload.t1 -1=1 -2='it\'s\nnew\\ line' +2='changed')"});
}

TEST_CASE("binlog text: nothing in it makes the reader stumble") {
  const std::string whole = std::string(kMariadb) + kMysql;
  for (const Flavor flavor : {Flavor::mariadb, Flavor::mysql}) {
    for (std::size_t cut = 0; cut < whole.size(); cut += 7) told(flavor, whole.substr(cut, 400));
    CHECK(told(flavor,
               "###\n### \n### @\n###   @=\n### UPDATE x\n### INSERT INTO `\n#261126 \n#261126  5:55:13 server id \n")
              .size() == 2);
  }
  const std::string huge(3 * kStatementBytesMax, 'x');
  const auto lines = told(Flavor::mariadb, "#261126  5:55:13 server id 2  end_log_pos 9 \tQuery\tthread_id=1\n" + huge +
                                               "\n" + huge + "\n/*!*/;\n");
  REQUIRE(lines.size() == 1);
  CHECK(lines.front().size() <= kStatementBytesMax + 10);
}
