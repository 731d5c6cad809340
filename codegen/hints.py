"""What a caller should know of an operation beyond its name and types, in this project's own words."""

from __future__ import annotations

PRESIGNED = "The URL is presigned: fetch it without an Authorization header."
AMOUNT_OR_UNITS = "Give `amount`, or `units` with `unit_price`; never both."
MONEY = (
    "It moves money, so it is never sent again when nobody knows whether it took effect: "
    "the exception then has `outcome_unknown` set."
)
MAIL = "Never sent again by itself: every time is another mail."
ONCE = "Not sent again by itself when nobody knows whether it took effect."
SEARCH = (
    "`search_query` joins conditions by ``$``, as in ``{example}``, with ``>`` ``>=`` ``:`` ``<=`` ``<`` and ``~`` "
    "(starts with)."
)
PLAN_OR_GROUP = "Give `plan_id` or `plan_group_id`, not both."
PRICES = (
    "Give `plan_id` or `plan_template_id`, and `aggregation_id` or `compound_aggregation_id`. "
    "In `pricing_bands`, amounts are in the currency of the plan, and a band's `lower_limit` is where it begins."
)
DESTINATION = (
    "A `destination_type` of S3 needs `iam_role_arn`; one of GCS needs `project_number`, `pool_id` and `provider_id`. "
    "`prefix` is the folder in the bucket."
)
EXPORT = (
    "A `source_type` of OPERATIONAL needs `operational_data_types`; one of USAGE takes {usage}, "
    "`meter_ids`, `account_ids`, filters, aggregations and groups."
)
CUSTOM_SQL = "`quantity_per_unit` is how much of what is measured makes one unit to be priced."
HALF_OPEN = "Ranges of dates are half-open: the start counts, the end does not."
SCHEDULE = "The interval is 1 to 365; the end of the schedule is exclusive."

NOTES: dict[str, tuple[str, ...]] = {
    "ListBills": (
        HALF_OPEN,
        "`billing_frequency` goes with `bill_date` only.",
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
    "EvaluateCalculation": ("It is tried on the event with that `event_id`, or of that `event_name`.",),
    "EndDateBillingEntitiesForAccount": ("What could not be ended is in the answer, and raises nothing.",),
    "EndDateBillingEntitiesForContract": ("What could not be ended is in the answer, and raises nothing.",),
    "PutSupport": ("Support staff loses its access at `dt_end_support_users_access`.",),
    "UpdateBillStatus": ("PENDING or APPROVED; locking is apart from it, see `lock`.",),
    "GetLatestBill": ("`NotFoundError` if there is none.",),
    "UpdateCustomFields": (
        "Each argument maps the names of an entity's custom fields to the values they have where nobody set one.",
    ),
    "UpdateOrganizationConfig": ("The epochs are the days from which years, months, weeks and days are counted.",),
    "CreateWebhookDestination": ("The key and secret in `credentials` sign what is sent to `url`.",),
    "UpdateWebhookDestination": ("The key and secret in `credentials` sign what is sent to `url`.",),
    "PostIntegrationConfig": ("Which other fields `credentials` has depends on its ``type``: give them in a mapping.",),
    "UpdateIntegrationConfig": (
        "Which other fields `credentials` has depends on its ``type``: give them in a mapping.",
    ),
    "ApproveBills": ("The answer is a message, not the bills.", HALF_OPEN),
    "ApproveAllBillsInBillingPeriod": ("The answer is a message, not the bills.",),
    "LockBill": ("A lock cannot be undone, and a PENDING bill cannot be locked.",),
    "UpdateBillConfig": ("`bill_lock_date` locks every bill up to that date; refused while one of them is PENDING.",),
    "CreateBillJob": (
        "At most ten jobs run at once: then the answer is a 429, and it is tried again for `wait_for_slot` seconds, by "
        "default no longer than any other call.",
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
        "A charge with the entity type BALANCE takes the balance's id as `entity_id`.",
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
    "GenerateToken": ("The client does this by itself; call it to have a token for something else.",),
    "SubmitMeasurements": (
        "In a measurement, `meter` and `account` are codes, not ids, and `uid` has at most 50 characters. "
        "A request holds 1 to 1000 measurements and under 512,000 bytes. With a `uid` in each, a repeat is not "
        "counted twice (for 35 days). The answer comes before validation: failures show up later, as events.",
    ),
    "PostQueryBillData": ("At most 2000 rows. One request per second and organization, ten in a burst.",),
    "PostUsageDataQuery": (
        "At most 20,000 rows; `has_more_data` says whether there were more.",
        "Two requests per second and organization, 20 in a burst.",
    ),
    "GenerateLookupTableDataUploadUrl": (
        "The URL takes an upload, whatever the method is called: PUT the file to it with the headers given.",
    ),
    "GenerateUploadUrl": (
        "PUT the file to the URL with the headers that come with it and without an Authorization header.",
        "The URL is valid for one minute, for a file of at most 1 GiB.",
    ),
    "GetLookupTableRevisionData": ("At most 2000 rows, and no way to page on.",),
    "AdminResendTempPass": (MAIL,),
}
REPLACES = "Everything is replaced: custom fields that are left out are lost (`edit` keeps them)."
VERSION_UPDATE = (
    "`version` must be that of the stored one: "
    "the service refuses any other (`ConflictError`), and an update without it."
)
VERSION_CREATE = "Leave `version` out: it is for updates."

EDIT = (
    "Give the arguments of `update` that shall be different by name, as in ``edit(..., name='New')``, or as one "
    "mapping, or as a function (plain or async) that gets what is stored and returns a mapping; where it returns none, "
    "nothing is written. All else is written back as it was read: nulls, every digit, custom fields, and fields that "
    "this client does not know. After a conflict it is read and changed again, at most `attempts` times in all, but "
    "not when the outcome of a write is unknown."
)

WAIT = (
    "It is looked at at once and then at growing intervals, from a second to half a minute, and a last time when "
    "`timeout` seconds are over. `on_progress`, which may be async, gets the job at each look."
)
WAIT_ENDS = (
    "`JobFailedError`, `JobCancelledError` and `JobTimeoutError` carry the job as it was last seen; after the last of "
    "these it goes on at the service."
)
WAIT_NOTES: dict[str, tuple[str, ...]] = {
    "GetBillJob": ("It has no failed state: one that hangs ends in the time-out.",),
    "GetUploadJobResponse": ("Look at `failed_rows` of one that succeeded, too.",),
}
FILE = "The URL is fetched without the access token. The file is in memory, up to the client's `max_response_bytes`."
FILE_TO = "The URL is fetched without the access token. `path` appears, or is replaced, once the whole of it is there."
STATEMENT = (
    "Where a job has made the latest statement already, or is at it, that is taken; else one is started. Seconds of "
    "`timeout` count for the job, not for the download. `on_progress`, which may be async, gets it at each look."
)

# What an answer lacks of a body cannot be kept by reading it.
UNSEEN = "What the service does not show it cannot keep: {names}."
EDIT_NOTES: dict[str, tuple[str, ...]] = {
    "UpdateIntegrationConfig": (UNSEEN.format(names="`credentials`"),),
    "PutCreditLineItem": (UNSEEN.format(names="`reason_id`, `amount_to_apply_on_bill`, `accounting_product_id`"),),
    "PutDebitLineItem": (UNSEEN.format(names="`reason_id`, `amount_to_apply_on_bill`, `accounting_product_id`"),),
}
