//! Connections: few, kept, and given up at the first doubt.
//!
//! The pool of the library asks every connection for a sign of life when it takes it back, and waits for that
//! without a limit: one black hole in the network, and the pool is empty for a quarter of an hour. Here a
//! connection is kept only if everything that was asked of it has been answered.

use std::{
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use sqlx::{
    AnyConnection, ConnectOptions, Connection, Row,
    any::{AnyConnectOptions, AnyRow},
};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::{sleep, timeout},
};
use url::Url;

use super::{
    Patience, StoreError, StoreLocation, dialect::Dialect, location::Place, private_file, schema,
    statement::Statement,
};

const MOST: usize = 10;
const BETWEEN_GREETINGS: Duration = Duration::from_millis(5);

/// All of them.
pub(super) struct Sessions {
    pub(super) place: Place,
    pub(super) dialect: Dialect,
    pub(super) patience: Patience,
    free: Semaphore,
    /// SQLite has one writer, and does not queue those who wait.
    writers: Semaphore,
    kept: Mutex<Vec<AnyConnection>>,
    /// Grows when the kept ones are given up, so that those in use are not kept afterwards.
    generation: AtomicU64,
    /// The tables have been looked at.
    fits: AtomicBool,
}

/// One of them, in one hand. Given up unless it says [`Session::keep`]: also when the caller goes away.
pub(super) struct Session<'a> {
    all: &'a Sessions,
    connection: AnyConnection,
    generation: u64,
    /// It has been kept for a while, and nothing has been asked of it since.
    stale: bool,
    limit: Duration,
    _free: SemaphorePermit<'a>,
    writer: Option<SemaphorePermit<'a>>,
}

impl Sessions {
    pub(super) fn new(location: &StoreLocation, patience: Patience) -> Self {
        sqlx::any::install_default_drivers();
        let dialect = Dialect::of(&location.0);
        let writers = match dialect {
            Dialect::Sqlite => 1,
            Dialect::Postgres => MOST,
        };
        Self {
            place: location.0.clone(),
            dialect,
            patience,
            free: Semaphore::new(MOST),
            writers: Semaphore::new(writers),
            kept: Mutex::default(),
            generation: AtomicU64::new(0),
            fits: AtomicBool::new(false),
        }
    }

    /// A session for one statement.
    pub(super) async fn read(&self) -> Result<Session<'_>, StoreError> {
        let free = self.place_in(&self.free).await?;
        let generation = self.generation.load(Ordering::Acquire);
        let kept = self
            .kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        let (connection, stale) = match kept {
            Some(connection) => (connection, true),
            None => (self.connect().await?, false),
        };
        Ok(Session {
            all: self,
            connection,
            generation,
            stale,
            limit: self.patience.statement,
            _free: free,
            writer: None,
        })
    }

    /// A session in a transaction that writes.
    pub(super) async fn write(&self) -> Result<Session<'_>, StoreError> {
        let writer = self.place_in(&self.writers).await?;
        let mut session = self.read().await?;
        session.writer = Some(writer);
        session.rows(&Statement::new(self.dialect.begin())).await?;
        Ok(session)
    }

    /// Gives up every connection: something tells that they lead nowhere, or to the wrong server.
    pub(super) fn give_up(&self) {
        self.generation.fetch_add(1, Ordering::AcqRel);
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Connects, and looks at the tables if nobody has. Those of a file are made; a server's are not ours to make.
    pub(super) async fn connect(&self) -> Result<AnyConnection, StoreError> {
        let mut connection = self.connect_to_anything().await?;
        if !self.fits.load(Ordering::Acquire) {
            if self.dialect == Dialect::Sqlite {
                schema::migrate(&mut connection, self.dialect, self.patience.bulk).await?;
            }
            let found = ask(&mut connection, &schema::version(), self.patience.statement).await;
            schema::judge(first_integer(&found?)?)?;
            self.fits.store(true, Ordering::Release);
        }
        Ok(connection)
    }

    pub(super) async fn migrate(&self) -> Result<(), StoreError> {
        let mut connection = self.connect_to_anything().await?;
        schema::migrate(&mut connection, self.dialect, self.patience.bulk).await
    }

    async fn connect_to_anything(&self) -> Result<AnyConnection, StoreError> {
        let options = AnyConnectOptions::from_url(&self.url()?)?.disable_statement_logging();
        let connecting = async {
            let mut connection = AnyConnection::connect_with(&options).await?;
            self.greet(&mut connection).await?;
            let copy = sqlx::raw_sql(self.dialect.is_copy())
                .fetch_all(&mut connection)
                .await?;
            if first_integer(&copy)? == Some(0) {
                Ok(connection)
            } else {
                Err(StoreError::Unreachable("the server is a standby"))
            }
        };
        within(self.patience.acquire, connecting).await
    }

    /// The switch to WAL needs a new file for itself, and there SQLite does not wait as `busy_timeout` says:
    /// two readers that both want to write would wait for each other. So the waiting is ours, until the caller's
    /// patience ends.
    async fn greet(&self, connection: &mut AnyConnection) -> Result<(), StoreError> {
        loop {
            let greeting = sqlx::raw_sql(self.dialect.greeting());
            match greeting.execute(&mut *connection).await.map_err(Into::into) {
                Ok(_) => return Ok(()),
                Err(StoreError::Timeout) => sleep(BETWEEN_GREETINGS).await,
                Err(error) => return Err(error),
            }
        }
    }

    fn url(&self) -> Result<Url, StoreError> {
        match &self.place {
            Place::Postgres(url) => Ok(url.clone()),
            Place::Sqlite(path) => {
                private_file::check(path).map_err(|_told_at_open| {
                    StoreError::Refused("others may read or write its file: chmod 600")
                })?;
                let path = path.to_str();
                let url =
                    path.and_then(|path| Url::parse(&format!("sqlite://{path}?mode=rw")).ok());
                url.ok_or(StoreError::Unreachable("the name of its file is no text"))
            }
        }
    }

    async fn place_in<'a>(&self, queue: &'a Semaphore) -> Result<SemaphorePermit<'a>, StoreError> {
        match timeout(self.patience.acquire, queue.acquire()).await {
            Ok(Ok(permit)) => Ok(permit),
            Ok(Err(_closed)) => Err(StoreError::Unreachable("it is closed")),
            Err(_elapsed) => Err(StoreError::Timeout),
        }
    }
}

impl Session<'_> {
    /// Takes more time for what follows.
    pub(super) fn for_many_rows(&mut self) {
        self.limit = self.all.patience.bulk;
    }

    pub(super) fn dialect(&self) -> Dialect {
        self.all.dialect
    }

    /// All rows of the answer. A connection that broke while nobody used it is replaced, once.
    pub(super) async fn rows(&mut self, statement: &Statement) -> Result<Vec<AnyRow>, StoreError> {
        let mut answer = ask(&mut self.connection, statement, self.limit).await;
        if self.stale && matches!(answer, Err(StoreError::Unreachable(_))) {
            self.all.give_up();
            self.generation = self.all.generation.load(Ordering::Acquire);
            self.connection = self.all.connect().await?;
            answer = ask(&mut self.connection, statement, self.limit).await;
        }
        self.stale = false;
        if answer
            .as_ref()
            .is_err_and(|error| error.breaks_connections())
        {
            self.all.give_up();
        }
        answer
    }

    /// The first row of the answer.
    pub(super) async fn row(
        &mut self,
        statement: &Statement,
    ) -> Result<Option<AnyRow>, StoreError> {
        Ok(self.rows(statement).await?.into_iter().next())
    }

    /// Makes the transaction's changes last.
    pub(super) async fn commit(mut self) -> Result<(), StoreError> {
        self.rows(&Statement::new("COMMIT")).await?;
        self.keep();
        Ok(())
    }

    /// Forgets the transaction's changes. That fails only where giving up the connection does the same.
    pub(super) async fn roll_back(mut self) {
        if self.rows(&Statement::new("ROLLBACK")).await.is_ok() {
            self.keep();
        }
    }

    /// Everything asked has been answered: somebody else may use the connection.
    pub(super) fn keep(self) {
        let Self {
            all,
            connection,
            generation,
            ..
        } = self;
        let mut kept = all.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if generation == all.generation.load(Ordering::Acquire) {
            kept.push(connection);
        }
    }
}

pub(super) async fn ask(
    connection: &mut AnyConnection,
    statement: &Statement,
    limit: Duration,
) -> Result<Vec<AnyRow>, StoreError> {
    within(limit, async {
        Ok(statement.query().fetch_all(connection).await?)
    })
    .await
}

pub(super) async fn within<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    timeout(limit, work)
        .await
        .unwrap_or(Err(StoreError::Timeout))
}

pub(super) fn first_integer(rows: &[AnyRow]) -> Result<Option<i64>, StoreError> {
    rows.first().map_or(Ok(None), |row| {
        row.try_get(0)
            .map_err(|_no_detail| StoreError::Corrupt("number"))
    })
}
