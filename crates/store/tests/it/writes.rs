use assay_store::{LIST_WIDTH, ListQuery, Store, StoreError, StoreResult, query};

pub async fn commit_or_roll_back(store: &Store) {
    let insert = "INSERT INTO counters (name, value) VALUES ($1, $2)";
    let kept: StoreResult<()> = store
        .database()
        .write(|tx| async move { tx.execute(query(insert).bind("kept").bind(1i64)).await.map(drop) })
        .await;
    kept.unwrap();
    let refused: StoreResult<()> = store
        .database()
        .write(|tx| async move {
            tx.execute(query(insert).bind("dropped").bind(1i64)).await?;
            Err(StoreError::Missing { path: "on purpose".to_owned() })
        })
        .await;
    assert!(matches!(refused, Err(StoreError::Missing { .. })));
    let rows = store.database().all(query("SELECT name FROM counters ORDER BY name")).await.unwrap();
    let names: Vec<String> = rows.iter().map(|row| row.text("name").unwrap()).collect();
    assert_eq!(names, ["kept"]);
}

pub async fn no_update_is_lost(store: &Store) {
    const WRITERS: i64 = 200;
    let tasks: Vec<_> = (0..WRITERS)
        .map(|_| {
            let database = store.database().clone();
            tokio::spawn(async move {
                database
                    .write(|tx| async move {
                        let sql = "SELECT value FROM counters WHERE name = $1";
                        let value = tx.first(query(sql).bind("kept")).await?.unwrap().int("value")?;
                        let sql = "UPDATE counters SET value = $1 WHERE name = $2";
                        tx.execute(query(sql).bind(value + 1).bind("kept")).await
                    })
                    .await
            })
        })
        .collect();
    for task in tasks {
        let touched: StoreResult<u64> = task.await.unwrap();
        assert_eq!(touched.unwrap(), 1);
    }
    let row = store.database().first(query("SELECT value FROM counters")).await.unwrap().unwrap();
    assert_eq!(row.int("value").unwrap(), 1 + WRITERS);
}

/// Negative zero is left out: SQLite keeps it as zero, so nothing may depend on its sign.
pub async fn values_round_trip(store: &Store) {
    type Values<'a> = (i64, Option<i64>, Option<&'a str>, &'a [u8], f64);
    let rows: [Values<'_>; 4] = [
        (1, Some(i64::MIN), Some(""), b"", 0.1),
        (2, Some(i64::MAX), Some("\u{1f980} 'quoted' \u{e9}"), b"\0a\0\xff", -1.5),
        (3, None, None, &[0; 300], f64::MAX),
        (4, Some(0), Some("null"), b"\0", f64::MIN_POSITIVE),
    ];
    for (id, n, t, b, d) in rows {
        let written: StoreResult<u64> = store
            .database()
            .write(|tx| async move {
                // The numbers say which argument is meant, wherever they stand.
                let sql = "INSERT INTO kinds (d, b, t, n, id) VALUES ($5, $4, $3, $2, $1)";
                let row = query(sql).bind(id).bind(n).bind(t.map(str::to_owned)).bind(b).bind(d);
                tx.execute(row).await
            })
            .await;
        written.unwrap();
        let sql = "SELECT n, t, b, d FROM kinds WHERE id = $1";
        let row = store.database().first(query(sql).bind(id)).await.unwrap().unwrap();
        assert_eq!(row.opt_int("n").unwrap(), n);
        assert_eq!(row.opt_text("t").unwrap().as_deref(), t);
        assert_eq!(row.bytes("b").unwrap(), b);
        assert_eq!(row.double("d").unwrap().to_bits(), d.to_bits());
    }
    let row =
        store.database().first(query("SELECT n FROM kinds WHERE id = $1").bind(3i64)).await.unwrap().unwrap();
    assert!(matches!(row.int("n"), Err(StoreError::Column { .. })));
}

static NAMED: ListQuery =
    ListQuery::new("SELECT name FROM counters WHERE value >= $1 AND name IN ({LIST}) ORDER BY name", 1);

pub async fn several_are_asked_at_once(store: &Store) {
    let names: Vec<String> = (0..LIST_WIDTH).map(|number| format!("listed-{number:03}")).collect();
    let all = &names;
    let written: StoreResult<()> = store
        .database()
        .write(|tx| async move {
            for (value, name) in (0i64..).zip(all) {
                let sql = "INSERT INTO counters (name, value) VALUES ($1, $2)";
                tx.execute(query(sql).bind(name).bind(value)).await?;
            }
            Ok(())
        })
        .await;
    written.unwrap();
    let found = async |least: i64, asked: &[String]| {
        let rows = store.database().all(NAMED.query(vec![least.into()], asked)).await.unwrap();
        rows.iter().map(|row| row.text("name").unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(found(0, &names).await, names, "a full list");
    assert_eq!(found(2, &names[1..4]).await, names[2..4], "a short list, each once");
    assert_eq!(found(0, &["unknown".to_owned()]).await, Vec::<String>::new());
}

pub async fn text_is_ordered_by_bytes(store: &Store) {
    let names = ["a", "B", "A", "b", "_", "\u{e9}", "e", "a b", "ab", "a-b", "0"];
    for name in names {
        let written: StoreResult<u64> = store
            .database()
            .write(|tx| async move {
                let sql = "INSERT INTO counters (name, value) VALUES ($1, 0)";
                tx.execute(query(sql).bind(format!("order/{name}"))).await
            })
            .await;
        written.unwrap();
    }
    let sql = "SELECT name FROM counters WHERE name >= $1 AND name < $2 ORDER BY name";
    let rows = store.database().all(query(sql).bind("order/").bind("order0")).await.unwrap();
    let read: Vec<String> = rows.iter().map(|row| row.text("name").unwrap()).collect();
    let mut expected: Vec<String> = names.iter().map(|name| format!("order/{name}")).collect();
    expected.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    assert_eq!(read, expected);
}
