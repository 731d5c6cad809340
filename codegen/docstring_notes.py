"""What a caller should know of an operation beyond its name and types, in this project's own words."""

from __future__ import annotations

PRESIGNED = "The URL is presigned: fetch it without an Authorization header."
AMOUNT_OR_UNITS = "Give `amount`, or `units` with `unit_price`; never both."
MONEY = (
    "The call moves money. If a failure leaves it unknown whether it took effect, it is not repeated: "
    "the exception has `outcome_unknown` set."
)
MAIL = "The call is never repeated automatically: each one sends another mail."
ONCE = "The call is not repeated automatically if a failure leaves it unknown whether it took effect."
SEARCH = (
    "`search_query` joins conditions by ``$``, as in ``{example}``, with ``>`` ``>=`` ``:`` ``<=`` ``<`` and ``~`` "
    "(starts with)."
)
PLAN_OR_GROUP = "Give `plan_id` or `plan_group_id`, not both."
PRICES = (
    "Give `plan_id` or `plan_template_id`, and `aggregation_id` or `compound_aggregation_id`. "
    "In `pricing_bands`, amounts are in the currency of the plan, and `lower_limit` is where a band begins."
)
DESTINATION = (
    "A `destination_type` of S3 needs `iam_role_arn`; one of GCS needs `project_number`, `pool_id` and `provider_id`. "
    "`prefix` is the folder in the bucket."
)
EXPORT = (
    "A `source_type` of OPERATIONAL needs `operational_data_types`; one of USAGE takes {usage}, "
    "`meter_ids`, `account_ids`, filters, aggregations and groups."
)
CUSTOM_SQL = "`quantity_per_unit` is the measured quantity that is priced as one unit."
HALF_OPEN = "Ranges of dates include their start and exclude their end."
SCHEDULE = "The interval is 1 to 365. The end date is exclusive."

NOTES: dict[str, tuple[str, ...]] = {
    "ListBills": (
        HALF_OPEN,
        "`billing_frequency` can be used only together with `bill_date`.",
    ),
    "SearchAccounts": (SEARCH.format(example="name~Acme$currency:USD"),),
    "SearchBills": (SEARCH.format(example="accountId:x$billDate>2024-01-01"),),
    "SearchCommitments": (SEARCH.format(example="accountId:x$amount>100"),),
    "PostAccountPlan": (PLAN_OR_GROUP,),
    "PutAccountPlan": (PLAN_OR_GROUP,),
    "ReplaceAccountPlan": (PLAN_OR_GROUP,),
    "PostPricing": (PRICES,),
    "PutPricing": (PRICES,),
    "PostAggregation": (CUSTOM_SQL,),
    "PutAggregation": (CUSTOM_SQL,),
    "PostCompoundAggregation": (CUSTOM_SQL,),
    "PutCompoundAggregation": (CUSTOM_SQL,),
    "PostDestination": (DESTINATION,),
    "PutDestination": (DESTINATION,),
    "CreateSchedule": (EXPORT.format(usage="`time_period`"),),
    "UpdateSchedule": (EXPORT.format(usage="`time_period`"),),
    "TriggerDataExport": (EXPORT.format(usage="`start_date`, `end_date`"), "The answer has the id of the export job."),
    "EvaluateCalculation": ("It is evaluated on the event with that `event_id`, or on one with that `event_name`.",),
    "EndDateBillingEntitiesForAccount": (
        "Entities that could not be ended are listed in the answer; no exception is raised for them.",
    ),
    "EndDateBillingEntitiesForContract": (
        "Entities that could not be ended are listed in the answer; no exception is raised for them.",
    ),
    "PutSupport": ("The support staff lose their access at `dt_end_support_users_access`.",),
    "UpdateBillStatus": ("Locking is separate from the status: see `lock`.",),
    "GetLatestBill": ("`NotFoundError` if there is none.",),
    "UpdateCustomFields": (
        "Each argument maps the names of the custom fields of one type of entity to their default values.",
    ),
    "UpdateOrganizationConfig": ("The epochs are the days from which years, months, weeks and days are counted.",),
    "CreateWebhookDestination": ("The key and secret in `credentials` sign what is sent to `url`.",),
    "UpdateWebhookDestination": ("The key and secret in `credentials` sign what is sent to `url`.",),
    "PostIntegrationConfig": (
        "The ``type`` in `credentials` decides which other fields it has: pass it as a mapping.",
    ),
    "UpdateIntegrationConfig": (
        "The ``type`` in `credentials` decides which other fields it has: pass it as a mapping.",
    ),
    "ApproveBills": ("The answer is a message, not the bills.", HALF_OPEN),
    "ApproveAllBillsInBillingPeriod": ("The answer is a message, not the bills.",),
    "LockBill": ("A lock cannot be undone, and a PENDING bill cannot be locked.",),
    "UpdateBillConfig": (
        "`bill_lock_date` locks every bill up to that date. The service refuses while one of them is PENDING.",
    ),
    "CreateBillJob": (
        "At most ten jobs run at once. If there are ten, the service answers 429, and the call is repeated for up to "
        "`wait_for_slot` seconds; by default for as long as any other call.",
    ),
    "CreateStatementJob": ("The statement's URLs are in the job once it is COMPLETE.",),
    "GetBillJsonStatement": (PRESIGNED,),
    "GetBillCsvStatement": (PRESIGNED,),
    "CreateBillCsvStatement": (PRESIGNED,),
    "DownloadBillsCsvUrl": (PRESIGNED,),
    "GetLookupTableRevisionArchivedDataUrl": (PRESIGNED,),
    "GetJobOriginalFileDownloadUrl": (PRESIGNED,),
    "GenerateDataExportFileDownloadUrl": (PRESIGNED,),
    "GetValidationErrorDownloadUrl": (PRESIGNED,),
    "GetBillLineItemJsonUsage": (PRESIGNED,),
    "PostBalanceTransaction": (
        "`amount` is in the currency of the balance and may be negative; `paid` is in `currency_paid`. "
        "A transaction is never changed or deleted.",
        MONEY,
    ),
    "CreateCharge": (
        AMOUNT_OR_UNITS,
        "If `entity_type` is BALANCE, `entity_id` is the id of the balance.",
        MONEY,
    ),
    "UpdateCharge": (AMOUNT_OR_UNITS,),
    "CreateBalanceChargeSchedule": (AMOUNT_OR_UNITS, SCHEDULE, MONEY),
    "UpdateBalanceChargeSchedule": (AMOUNT_OR_UNITS, SCHEDULE),
    "PreviewScheduledCharge": (AMOUNT_OR_UNITS, SCHEDULE),
    "CreateBalanceTransactionSchedule": (SCHEDULE, MONEY),
    "UpdateBalanceTransactionSchedule": (SCHEDULE,),
    "PreviewBalanceTransactionSchedule": (SCHEDULE,),
    "PostCreditLineItem": (MONEY,),
    "PostDebitLineItem": (MONEY,),
    "GenerateToken": ("The client gets its own tokens automatically. Call this only to use a token elsewhere.",),
    "SubmitMeasurements": (
        "In a measurement, `meter` and `account` are codes, not ids, and `uid` has at most 50 characters. "
        "A request holds 1 to 1000 measurements and fewer than 512,000 bytes. Measurements with a `uid` are not "
        "counted twice if they are sent again within 35 days. The service answers before it validates: failures appear "
        "later, as events.",
    ),
    "PostQueryBillData": ("At most 2000 rows. The limit is one request per second and organization, ten in a burst.",),
    "PostUsageDataQuery": (
        "At most 20,000 rows; `has_more_data` says whether there were more.",
        "The limit is two requests per second and organization, 20 in a burst.",
    ),
    "GenerateLookupTableDataUploadUrl": (
        "Despite the name of the method, the URL is for an upload: PUT the file to it, with the headers in the answer.",
    ),
    "GenerateUploadUrl": (
        "PUT the file to the URL with the headers in the answer, and without an Authorization header.",
        "The URL is valid for one minute, for a file of at most 1 GiB.",
    ),
    "GetLookupTableRevisionData": ("The answer has at most 2000 rows; the service offers no further pages.",),
    "AdminResendTempPass": (MAIL,),
}
REPLACES = "All fields are replaced: custom fields that are left out are lost (`edit` keeps them)."
VERSION_UPDATE = (
    "`version` must be the version that is stored now: "
    "the service refuses any other (`ConflictError`), and an update without a version."
)
VERSION_CREATE = "Leave out `version`: it is for updates only."

EDIT = (
    "Give the arguments of `update` that shall be different by name, as in ``edit(..., name='New')``, or as one "
    "mapping, or as a function (plain or async) that gets what is stored and returns a mapping; where it returns none, "
    "nothing is written. All else is written back as it was read: nulls, every digit, custom fields, and fields that "
    "this client does not know. After a conflict it is read and changed again, at most `attempts` times in all, but "
    "not when the outcome of a write is unknown."
)

WAIT = (
    "The job is read at once, then at growing intervals of 1 to 30 seconds, and a last time after `timeout` seconds. "
    "`on_progress`, which may be async, is called with the job each time."
)
WAIT_ENDS = (
    "`JobFailedError`, `JobCancelledError` and `JobTimeoutError` hold the job as it was last read. After a "
    "`JobTimeoutError` the job goes on at the service."
)
WAIT_NOTES: dict[str, tuple[str, ...]] = {
    "GetBillJob": ("Bill jobs have no failed state: one that makes no progress ends with `JobTimeoutError`.",),
    "GetUploadJobResponse": ("Check `failed_rows` also if the job succeeded.",),
}
FILE = "The URL is fetched without the access token. The whole file is held in memory, up to `max_response_bytes`."
FILE_TO = "The URL is fetched without the access token. `path` is created or replaced when the whole file has arrived."
STATEMENT = (
    "If a job has made the latest statement, or is making it, that job is used; otherwise one is started. `timeout` is "
    "in seconds, and counts for the job, not for the download. `on_progress`, which may be async, is called with the "
    "job each time it is read."
)

# `edit` writes back what it read: fields that no answer shows are lost.
UNSEEN = "Fields that the service never answers are lost, unless `change` gives them: {names}."
EDIT_NOTES: dict[str, tuple[str, ...]] = {
    "UpdateIntegrationConfig": (UNSEEN.format(names="`credentials`"),),
    "PutCreditLineItem": (UNSEEN.format(names="`reason_id`, `amount_to_apply_on_bill`, `accounting_product_id`"),),
    "PutDebitLineItem": (UNSEEN.format(names="`reason_id`, `amount_to_apply_on_bill`, `accounting_product_id`"),),
}
