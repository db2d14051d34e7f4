using System;
using System.Collections.Generic;

namespace Parcels
{
    /// <summary>How far a parcel travels.</summary>
    public enum Zone
    {
        Domestic,
        Neighbour,
        World,
    }

    /// <summary>Prices parcels in euro: a base price and a price per started kilogram, by zone.</summary>
    public sealed class Tariff
    {
        public const decimal HeaviestParcel = 31.5m;

        private static readonly IReadOnlyDictionary<Zone, (decimal Base, decimal PerKilogram)> Rates =
            new Dictionary<Zone, (decimal, decimal)>
            {
                [Zone.Domestic] = (3.90m, 0.55m),
                [Zone.Neighbour] = (7.20m, 0.95m),
                [Zone.World] = (12.50m, 3.10m),
            };

        private readonly decimal surcharge;

        /// <param name="surcharge">A share on top, such as 0.08 for a fuel surcharge of 8 %.</param>
        public Tariff(decimal surcharge = 0)
        {
            if (surcharge < 0)
            {
                throw new ArgumentOutOfRangeException(nameof(surcharge), surcharge, "must not be negative");
            }

            this.surcharge = surcharge;
        }

        /// <exception cref="ArgumentException">The parcel is heavier than anyone may carry.</exception>
        public decimal Price(Parcel parcel, Zone zone)
        {
            if (parcel.Weight > HeaviestParcel)
            {
                throw new ArgumentException($"a parcel may weigh {HeaviestParcel} kg at most", nameof(parcel));
            }

            var (start, perKilogram) = Rates[zone];
            var price = start + (perKilogram * Math.Ceiling(parcel.ChargeableWeight));
            return Math.Round(price * (1 + surcharge), 2, MidpointRounding.AwayFromZero);
        }
    }
}
